"""Evaluation: success, with its interval and its cost."""

from ltf_lite.evaluation.success import record, valid_steps, wilson

__all__ = ["record", "valid_steps", "wilson"]
