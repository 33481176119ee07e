"""The command line, run as a person runs it."""

from math import inf

import pytest

from newtake import cli, show


def newtake(capsys, *arguments):
    """Exit code, stdout, stderr; `capsys` may be `capfd`.  No progress is told, which a slow machine has more of."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(show, "SHORT", inf)
        cli.main([str(a) for a in arguments])
    return ended.value.code, *capsys.readouterr()
