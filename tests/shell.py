"""The command line, run as a person runs it."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from math import inf

import pytest

from newtake import cli, show

SOURCE, TARGET = "a red ball on the grass", "a blue ball on the grass"     # of the built-in clip


def newtake(capsys, *arguments):
    """Exit code, stdout, stderr; `capsys` may be `capfd`.  No progress is told, which a slow machine has more of."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(show, "SHORT", inf)
        cli.main([str(a) for a in arguments])
    return ended.value.code, *capsys.readouterr()


def ran(*arguments):
    """The same where no capsys is at hand."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err, pytest.MonkeyPatch.context() as patch, \
            pytest.raises(SystemExit) as ended:
        patch.setattr(show, "SHORT", inf)
        cli.main([str(a) for a in arguments])
    return ended.value.code, out.getvalue(), err.getvalue()


def refused(*arguments):
    """The one line with which a command is refused."""
    code, said, told = ran(*arguments)
    assert (code, said) == (2, "") and len(told.splitlines()) == 1, told
    return told
