"""What went wrong through no fault of ours."""


class BadInput(ValueError):
    """One line that says what is wrong and what would be right.  The command line prints it and exits with 2."""


class Cancelled(BaseException):
    """Who asked for the work does not want it any more.  As KeyboardInterrupt, it is nobody's to catch on the way."""


class Note(UserWarning):
    """Nothing is wrong, but the caller should be told.  The command line prints it and goes on."""


def out_of_memory(wrong: BaseException) -> str | None:
    """The line for people where that is what went wrong; None: it is something else."""
    if isinstance(wrong, MemoryError) or (isinstance(wrong, RuntimeError) and "memory" in str(wrong).lower()):
        return "there is not enough memory; give --memory, a smaller --window or --size, or fewer targets"
    return None
