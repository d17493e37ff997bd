"""Evaluation: success, with its interval and its cost."""

from ltf_lite.evaluation.success import record, wilson

__all__ = ["record", "wilson"]
