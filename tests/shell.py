"""The command line, run as a person runs it."""

import pytest

from newtake import cli


def newtake(capsys, *arguments):
    """Exit code, stdout, stderr; `capsys` may be `capfd`."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(a) for a in arguments])
    return ended.value.code, *capsys.readouterr()
