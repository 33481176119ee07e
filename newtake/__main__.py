"""`python -m newtake`."""

from .cli import main

main()
