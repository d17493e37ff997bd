"""The main job: the stages of a run in order, resumable, with a manifest."""

from ltf_lite.pipeline.abilities import below
from ltf_lite.pipeline.run import Run, RunError
from ltf_lite.pipeline.summary import closing, missing, summary
from ltf_lite.pipeline.train import train

__all__ = ["Run", "RunError", "below", "closing", "missing", "summary", "train"]
