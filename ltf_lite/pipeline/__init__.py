"""The main job: the stages of a run in order, resumable, with a manifest."""

from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.pipeline.run.summary import Summary, closing, missing, short, summary
from ltf_lite.pipeline.train import train

__all__ = ["Run", "RunError", "Summary", "closing", "missing", "short", "summary", "train"]
