"""Commands of the command line, a file each; `newtake.cli` registers them."""
