"""The preset's schema: one YAML file that says a whole run. Unknown keys are refused by name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

FOLDERS = (Path("presets"), Path(__file__).resolve().parent.parent / "presets")


class PresetError(ValueError):
    """A preset that cannot be, with a sentence for the user."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskSection(Section):
    """The task and its settings; numbers and ranges are inclusive."""

    name: str
    count: int | None = None
    numbers: tuple[int, int] | None = None
    targets: tuple[int, int] | None = None
    max_intermediate: int | None = None
    draw: Literal["uniform", "walk"] | None = None
    ranked: str | None = None
    test_ranks: tuple[int, int] | None = None

    def settings(self) -> dict[str, Any]:
        return self.model_dump(exclude={"name"}, exclude_none=True)


class ModelSection(Section):
    """The base: `tiny-base`, a directory or a hub name."""

    base: str
    load_in_4bit: bool = False


class ProblemsSection(Section):
    """How many problems each split has."""

    train: int = Field(gt=0)
    validation: int = Field(gt=0)
    test: int = Field(gt=0)


class ReasonerSection(Section):
    """A reasoner and its settings; `problems` limits it to the first so many."""

    name: Literal["cot", "bfs", "dfs", "random"]
    problems: int | None = Field(None, gt=0)
    n: int | None = Field(None, gt=0, le=1024)
    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    paths: int | None = Field(None, ge=0)
    failures: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _belongs(self) -> ReasonerSection:
        own = {"cot": {"n", "temperature", "top_p", "max_tokens"}, "random": set()}
        allowed = own.get(self.name, {"paths", "failures"}) | {"name", "problems"}
        for key in self.model_dump(exclude_none=True):
            if key not in allowed:
                raise ValueError(f"the reasoner {self.name} has no setting {key!r}")
        if self.name == "cot" and (self.n or 1) > 1 and not self.temperature:
            raise ValueError("cot with n above 1 needs a temperature above 0")
        return self

    def settings(self) -> dict[str, Any]:
        return self.model_dump(exclude={"name", "problems"}, exclude_none=True)

    @property
    def single_pass(self) -> bool:
        """Whether this is one greedy chain of thought."""
        return self.name == "cot" and (self.n or 1) == 1 and not self.temperature

    @property
    def label(self) -> str:
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.settings().items())])


class HarvestSection(Section):
    """Which harvested paths are trained on: at most so many a problem and side."""

    successes_per_problem: int = Field(4, gt=0)
    failures_per_problem: int = Field(4, ge=0)


class TuningSection(Section):
    """LoRA and the loss J = (1 - alpha) · learning + alpha · forgetting."""

    alpha: float = Field(1e-4, ge=0, lt=1)
    credit: Literal["whole", "fatal_step", "decision"] = "whole"
    steps: int = Field(gt=0)
    batch: int = Field(32, gt=0)
    ratio: float = Field(1.0, ge=0, le=16)
    accumulation: int = Field(1, gt=0)
    learning_rate: float = Field(gt=0, lt=1)
    warmup: int = Field(50, ge=0)
    floor: float = Field(0.02, ge=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    rank: int = Field(32, gt=0)
    lora_alpha: float = Field(64, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    max_length: int = Field(512, gt=8)
    eval_every: int = Field(gt=0)


class ExportSection(Section):
    """The GGUF files besides f16, and how parity is judged."""

    quantizations: tuple[Literal["q8_0", "q6_k", "q5_k_m", "q4_k_m"], ...] = ("q8_0",)
    greedy_problems: int = Field(50, gt=0)
    success_points: float = Field(2.0, gt=0)


class Preset(Section):
    """A whole run; every random choice comes from `seed`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    about: str = ""
    seed: int = Field(0, ge=0)
    threads: int | None = Field(None, gt=0)
    task: TaskSection
    model: ModelSection
    problems: ProblemsSection
    search: tuple[ReasonerSection, ...] = Field(min_length=1)
    harvest: HarvestSection = HarvestSection()
    tuning: TuningSection
    evaluation: tuple[ReasonerSection, ...] = Field(min_length=1)
    export: ExportSection = ExportSection()

    @field_validator("evaluation")
    @classmethod
    def _has_single_pass(cls, sections: tuple[ReasonerSection, ...]) -> tuple[ReasonerSection, ...]:
        if not any(section.single_pass for section in sections):
            raise ValueError("a run is judged by its single pass: add {name: cot, n: 1}")
        return sections


def _keys_at(location: tuple, model: type[BaseModel]) -> list[str]:
    """The keys that stand beside an unknown one, for a suggestion."""
    at: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        annotation = at.model_fields[part].annotation
        at = next(
            (a for a in [annotation, *getattr(annotation, "__args__", ())]
             if isinstance(a, type) and issubclass(a, BaseModel)), at,
        )  # fmt: skip
    return list(at.model_fields)


def _sentence(error: ValidationError, where: str) -> str:
    # An unknown key comes first: it is often why another one seems to be missing.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = get_close_matches(str(first["loc"][-1]), _keys_at(first["loc"][:-1], Preset), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{where}: there is no setting {path!r}{hint}"
    if first["type"] == "missing":
        return f"{where}: the setting {path!r} is missing"
    reason = first["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(first["input"], (dict, list)) else f", not {first['input']!r}"
    return f"{where}: {path}: {reason}{shown}"


def parse(data: Any, where: str) -> Preset:
    """The preset of loaded YAML; raises PresetError that names the setting."""
    if not isinstance(data, dict):
        raise PresetError(f"{where}: a preset is a YAML mapping of settings")
    try:
        return Preset.model_validate(data)
    except ValidationError as error:
        raise PresetError(_sentence(error, where)) from error


def find(name: str) -> Path:
    """The file of a preset: a path to a YAML file, or a name in presets/; raises PresetError."""
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise PresetError(f"there is no preset file {name}")
        return Path(name)
    files = available()
    if name in files:
        return files[name]
    near = get_close_matches(name, files, 1, 0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(files) or 'none'}"
    raise PresetError(f"there is no preset {name!r}; {hint}")


def available() -> dict[str, Path]:
    """Name → file of every preset in the folders presets are looked for in."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for file in sorted(folder.glob("*.yaml")):
            found.setdefault(file.stem, file)
    return found


def load(name: str) -> Preset:
    """Read and check a preset; raises PresetError with one sentence."""
    file = find(name)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = re.sub(r"\s+", " ", str(error))
        raise PresetError(f"cannot read the preset {file}: {reason}") from error
    return parse(data, str(file))
