"""Search once, tune on what search found, answer at once."""

__version__ = "0.1.0"
