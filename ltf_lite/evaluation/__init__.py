"""Evaluation: success, with its interval and its cost."""

from ltf_lite.evaluation.retention import retention
from ltf_lite.evaluation.success import record, wilson

__all__ = ["record", "retention", "wilson"]
