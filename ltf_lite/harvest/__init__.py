"""Harvest: paths in, training examples out."""

from ltf_lite.harvest.browse import counts, failures, found_fatal, marked, saving_step, solved
from ltf_lite.harvest.example import Example
from ltf_lite.harvest.replay import Recorder, replayed, write_said
from ltf_lite.harvest.sampling import Limits, Taken, examples
from ltf_lite.harvest.store import Row, by_problem, read, rows_of, shard, shards, write_shard

__all__ = [
    "Example",
    "Limits",
    "Recorder",
    "Row",
    "Taken",
    "by_problem",
    "counts",
    "examples",
    "failures",
    "found_fatal",
    "marked",
    "read",
    "replayed",
    "rows_of",
    "saving_step",
    "shard",
    "shards",
    "solved",
    "write_said",
    "write_shard",
]
