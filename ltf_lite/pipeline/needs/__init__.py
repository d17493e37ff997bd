"""What a preset needs of a machine: memory to tune, room on the disk."""

from ltf_lite.pipeline.needs.fits import (
    GB,
    USABLE,
    check_fits,
    estimates_of,
    fitting,
    nearest_fitting,
)
from ltf_lite.pipeline.needs.previews import needs, preview
from ltf_lite.pipeline.needs.text import preview_text
from ltf_lite.pipeline.needs.types import Disk, Here, Needs, Peak, Peaks, Preview

__all__ = [
    "GB",
    "USABLE",
    "Disk",
    "Here",
    "Needs",
    "Peak",
    "Peaks",
    "Preview",
    "check_fits",
    "estimates_of",
    "fitting",
    "nearest_fitting",
    "needs",
    "preview",
    "preview_text",
]
