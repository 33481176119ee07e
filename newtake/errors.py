"""What went wrong through no fault of ours."""


class BadInput(ValueError):
    """One line that says what is wrong and what would be right.  The command line prints it and exits with 2."""


class Cancelled(BaseException):
    """Who asked for the work does not want it any more.  As KeyboardInterrupt, it is nobody's to catch on the way."""


class Note(UserWarning):
    """Nothing is wrong, but the caller should be told.  The command line prints it and goes on."""


LIMITS = {                                              # by what the system says of them
    "memory": "there is not enough memory; give --memory, a smaller --window or --size, or fewer targets",
    "name too long": "the name of a file is too long for this system; give a shorter one",
    "by peer": "another rank is gone; what it said last tells why",
    "home directory": "there is no such home directory; set HOME, and name folders such as --cache without ~",
}


def limit(wrong: BaseException) -> str | None:
    """The line for people where a limit of the system was met; None: it is something else."""
    said = "memory" if isinstance(wrong, MemoryError) else str(getattr(wrong, "strerror", None) or wrong).lower()
    return next((line for part, line in LIMITS.items() if part in said), None)
