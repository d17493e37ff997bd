"""Methods: what tuning makes smaller. A new one is a file here."""

from __future__ import annotations

from ltf_lite.core.plugins import Registry
from ltf_lite.tuning.settings import Tuning

METHODS: Registry[Tuning] = Registry("ltf_lite.tuning.methods", "method", Tuning, "method")
