"""Where everything of a run lies: each path is named here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; nothing here reads or writes."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def manifest(self) -> Path:
        return self / "manifest.json"

    # -- what its stages make ----------------------------------------------------------------

    def problems(self, split: str) -> Path:
        return self / "problems" / f"{split}.jsonl"

    @property
    def harvest(self) -> Path:
        return self / "harvest"

    @property
    def tuning(self) -> Path:
        return self / "tuning"

    @property
    def adapter(self) -> Path:
        return self.tuning / "adapter"

    @property
    def checkpoints(self) -> Path:
        return self.tuning / "checkpoints"

    @property
    def tracker(self) -> Path:
        """What trackers write of the tuning; they and their dashboards change it at will."""
        return self.tuning / "tracker"

    @property
    def tuning_log(self) -> Path:
        return self.tuning / "log.jsonl"

    @property
    def tuning_result(self) -> Path:
        return self.tuning / "result.json"

    @property
    def tuning_run(self) -> Path:
        return self.tuning / "run.json"

    @property
    def examples(self) -> Path:
        return self.tuning / "examples.json"

    @property
    def model(self) -> Path:
        return self / "model"

    @property
    def gguf(self) -> Path:
        return self / "gguf"

    @property
    def parity(self) -> Path:
        return self.gguf / "parity.json"

    @property
    def card(self) -> Path:
        """The model card; the Hub reads it under this name."""
        return self.gguf / "README.md"

    @property
    def lora(self) -> Path:
        """The folder of the adapter as a GGUF file: apart, for it is no model that can be asked."""
        return self.gguf / "lora"

    def evaluation(self, model: str) -> Path:
        """The records of `base` or `tuned`."""
        return self / "evaluation" / model

    def budgets(self, model: str) -> Path:
        """The records of searches at a token budget."""
        return self.evaluation(model) / "budgets"

    def elsewhere(self, model: str) -> Path:
        """What a model can do that the run does not tune on."""
        return self.evaluation(model) / "retention.json"

    @property
    def base_abilities(self) -> Path:
        """What the base can do on the validation problems, by which checkpoints are judged."""
        return self.evaluation("base") / "validation.json"

    @property
    def report(self) -> Path:
        return self / "report"

    @property
    def page(self) -> Path:
        return self.report / "index.html"

    @property
    def results(self) -> Path:
        return self.report / "results.csv"

    # -- what belongs to whoever works on it -------------------------------------------------

    @property
    def lock(self) -> Path:
        return self / ".lock"

    @property
    def work(self) -> Path:
        return self / ".work"

    @property
    def starting(self) -> Path:
        return self / ".starting"

    @property
    def pid(self) -> Path:
        return self / ".pid"

    @property
    def log(self) -> Path:
        return self / "train.log"

    @property
    def progress(self) -> Path:
        return self / "progress.json"

    @property
    def spent(self) -> Path:
        return self / "spent.json"

    @property
    def history(self) -> Path:
        return self / "monitor.sqlite"
