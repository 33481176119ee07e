"""How the built-in checkpoint was made: `make world`."""
