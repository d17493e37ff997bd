"""The preset's schema: every section and setting of a run, with its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from ltf_lite.preset_reasoners import AnyReasoner, Section


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


class TorchSection(Section):
    """The base itself, in process."""

    name: Literal["torch"] = "torch"


class LlamaCppSection(Section):
    """A GGUF file of the base, through llama.cpp."""

    name: Literal["llamacpp"]
    file: str


class ServerSection(Section):
    """An OpenAI-compatible completions endpoint that serves the base."""

    name: Literal["server"]
    url: str
    model: str | None = None
    concurrency: int = Field(32, gt=0, le=1024)


AnyEngine = Annotated[TorchSection | LlamaCppSection | ServerSection, Field(discriminator="name")]


class NegativesSection(Section):
    """How the failures to forget are drawn: which groups in equal parts, how many beside a success.

    `per_success` None takes all that `failures_per_problem` leaves.
    """

    balance: Literal["none", "kind", "reasoner", "kind_and_reasoner"] = "none"
    per_success: float | None = Field(None, ge=0, le=64)

    @model_validator(mode="after")
    def _has_parts(self) -> NegativesSection:
        if self.balance != "none" and self.per_success is None:
            raise ValueError("balance needs per_success: of all failures there are no equal parts")
        return self


class HarvestSection(Section):
    """Which harvested paths are trained on: at most so many a problem and side.

    `reasoners` names those whose paths are taken at all (None: every one's), `successes` the most
    successes over all problems.
    """

    reasoners: tuple[str, ...] | None = Field(None, min_length=1)
    successes: int | None = Field(None, gt=0)
    successes_per_problem: int = Field(4, gt=0)
    failures_per_problem: int = Field(4, ge=0)
    negatives: NegativesSection = NegativesSection()


Method = Literal["sft", "uft", "gradient_ascent", "npo", "simpo", "cpo_simpo"]
Linear = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# The settings that only some methods know; what one does not know is refused, not ignored.
METHOD_SETTINGS: dict[str, tuple[str, ...]] = {
    "sft": (),
    "uft": ("alpha", "credit", "ratio"),
    "gradient_ascent": ("alpha", "credit", "ratio"),
    "npo": ("alpha", "credit", "ratio", "beta"),
    "simpo": ("beta", "gamma"),
    "cpo_simpo": ("beta", "gamma", "nll_weight"),
}


class TuningSection(Section):
    """LoRA, and what becomes smaller: by default J = (1 - alpha) · learning + alpha · forgetting.

    `method` names the loss, `seed` draws the adapter's first weights and the order (the preset's
    seed where it is not given), `targets` are the linear layers that get an adapter.
    """

    method: Method = "uft"
    alpha: float = Field(1e-4, ge=0, lt=1)
    credit: Literal["whole", "fatal_step", "decision"] = "whole"
    beta: float | None = Field(None, gt=0)
    gamma: float = Field(1.0, ge=0)
    nll_weight: float = Field(1.0, ge=0)
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
    targets: tuple[Linear, ...] = Field(get_args(Linear), min_length=1)
    max_length: int = Field(512, gt=8)
    eval_every: int = Field(gt=0)
    seed: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _knows_its_settings(self) -> TuningSection:
        for name in sorted(set(foreign(self.method)) & self.model_fields_set):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"the method {self.method} knows no {name}: leave it out")
        return self


def foreign(method: str) -> list[str]:
    """The settings of other methods that this one does not know."""
    every = {name for names in METHOD_SETTINGS.values() for name in names}
    return sorted(every - set(METHOD_SETTINGS[method]))


class ExportSection(Section):
    """The GGUF files besides f16, and how parity is judged."""

    quantizations: tuple[Literal["q8_0", "q6_k", "q5_k_m", "q4_k_m"], ...] = ("q8_0",)
    greedy_problems: int = Field(50, gt=0)
    success_points: float = Field(2.0, gt=0)


class RetentionSection(Section):
    """What tuning must not forget: the least that is kept of each ability, relative to the base.

    Measured on the first `problems` validation problems at every checkpoint. Rates must not fall
    below their floor; `heldout_nll`, on the text file `heldout` (None: the one that comes with the
    base), must not rise above its.
    """

    problems: int = Field(100, gt=0)
    heldout: str | None = None
    single_pass: float | None = Field(None, gt=0, le=10)
    sample: float | None = Field(None, gt=0, le=10)
    tot: float | None = Field(None, gt=0, le=10)
    rap: float | None = Field(None, gt=0, le=10)
    sibling: float | None = Field(None, gt=0, le=10)
    heldout_nll: float | None = Field(None, gt=0, le=100)

    def floors(self) -> dict[str, float]:
        """Ability → floor, of those that have one."""
        return self.model_dump(exclude={"problems", "heldout"}, exclude_none=True)


class BudgetsSection(Section):
    """Token budgets a problem at which single pass, samples and searches are compared.

    Searches are asked the first `problems` test problems, None being all, at each budget.
    """

    tokens: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)
    problems: int | None = Field(None, gt=0)


class SweepSection(Section):
    """What `ltf sweep` tunes if it is not told: grids by name, each with values by setting."""

    seeds: int = Field(1, gt=0, le=1000)
    grids: dict[str, dict[str, list[Any]]] = Field(min_length=1)


class Preset(Section):
    """A whole run; every random choice comes from `seed`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    about: str = ""
    seed: int = Field(0, ge=0)
    threads: int | None = Field(None, gt=0)
    task: TaskSection
    model: ModelSection
    problems: ProblemsSection
    engine: AnyEngine = TorchSection()
    search: tuple[AnyReasoner, ...] = Field(min_length=1)
    harvest: HarvestSection = HarvestSection()
    tuning: TuningSection
    evaluation: tuple[AnyReasoner, ...] = Field(min_length=1)
    budgets: BudgetsSection | None = None
    retention: RetentionSection = RetentionSection()
    sweep: SweepSection | None = None
    export: ExportSection = ExportSection()

    @field_validator("evaluation")
    @classmethod
    def _has_single_pass(cls, sections: tuple[AnyReasoner, ...]) -> tuple[AnyReasoner, ...]:
        if not any(section.single_pass for section in sections):
            raise ValueError("a run is judged by its single pass: add {name: cot, n: 1}")
        return sections

    @model_validator(mode="after")
    def _measures_its_floors(self) -> Preset:
        names: set[str] = {section.name for section in self.evaluation}
        if any(not s.single_pass for s in self.evaluation if s.name == "cot"):
            names.add("sample")
        for name in {"tot", "rap", "sample"} & self.retention.floors().keys() - names:
            raise ValueError(f"retention.{name} needs such a reasoner among the evaluation's")
        return self

    @model_validator(mode="after")
    def _searches_what_it_harvests(self) -> Preset:
        names = {section.name for section in self.search}
        for name in self.harvest.reasoners or ():
            if name not in names:
                raise ValueError(
                    f"harvest.reasoners: no {name} among the search ({', '.join(sorted(names))})"
                )
        return self
