"""Evaluation: success, with its interval, its cost, and what a difference of it is worth."""

from ltf_lite.evaluation.compare import compared, same_reasoner
from ltf_lite.evaluation.retention import retention
from ltf_lite.evaluation.success import record, wilson

__all__ = ["compared", "record", "retention", "same_reasoner", "wilson"]
