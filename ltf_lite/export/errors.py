"""What export refuses."""


class ExportError(RuntimeError):
    """A model that cannot be merged or exported, with a sentence for the user."""
