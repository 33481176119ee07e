"""What went wrong through no fault of ours."""


class BadInput(ValueError):
    """One line that says what is wrong and what would be right.  The command line prints it and exits with 2."""


class Note(UserWarning):
    """Nothing is wrong, but the caller should be told.  The command line prints it and goes on."""
