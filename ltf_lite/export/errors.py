"""What export refuses."""

from __future__ import annotations

from ltf_lite.core.errors import LtfError


class ExportError(LtfError, RuntimeError):
    """A model that cannot be merged or exported, with a sentence for the user."""
