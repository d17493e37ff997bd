"""The preset's schema: every section and setting of a run, with its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, create_model, field_validator, model_validator

from ltf_lite.core.plugins import Registry, Settings
from ltf_lite.engines import resolve
from ltf_lite.engines.dialect import AUTO, asked_and_learnt, chats, system_of
from ltf_lite.engines.dialect import Wish as DialectName
from ltf_lite.engines.plugin import ENGINES
from ltf_lite.export.formats import EXPORTERS
from ltf_lite.reasoners import REASONERS, Reasoner, able
from ltf_lite.reasoners.cot import CoT
from ltf_lite.tasks import TASKS, settings_of
from ltf_lite.tuning.methods import METHODS

if TYPE_CHECKING:
    from ltf_lite.engines.plugin import EnginePlugin as AnyEngine
    from ltf_lite.export.formats import Exporter as AnyExporter
    from ltf_lite.reasoners import Reasoner as AnyReasoner
    from ltf_lite.tasks import Task as AnyTask
    from ltf_lite.tuning.settings import Tuning as AnyMethod
else:
    AnyTask, AnyReasoner = TASKS.any(), REASONERS.any()
    AnyEngine, AnyMethod = ENGINES.any(default="torch"), METHODS.any(default="uft")
    AnyExporter = EXPORTERS.any()


def _plain(registry: Registry[Any], name: str) -> Any:
    """The plugin of that name with its defaults."""
    return registry.get(name).model_validate({})


class ModelSection(Settings):
    """The base, and the dialects in which it is asked and in which its tuned copy learns.

    `base` is `tiny-base`, `smollm2`, a directory, a GGUF file or a hub name. Without `ask` and
    `learn` a base that says what it speaks keeps that; any other is asked few-shot and learns
    zero-shot. `auto` is `chat` for a base with a chat template that does not say what it speaks.
    One that is asked in `few_shot_chat`, with worked examples as earlier turns, learns `chat`.
    `system` is the system text of a chat, by default the one that the base says it learnt with.
    """

    base: str
    load_in_4bit: bool = False
    ask: DialectName | None = None
    learn: DialectName | None = None
    system: str | None = None

    @model_validator(mode="after")
    def _has_a_system_text_in_a_chat(self) -> ModelSection:
        wishes = filter(None, (self.ask, self.learn))
        if self.system and not any(wish == AUTO or chats(wish) for wish in wishes):
            raise ValueError("system is the system text of a chat: set ask or learn to chat")
        return self


class ProblemsSection(Settings):
    """How many problems each split has."""

    train: int = Field(gt=0)
    validation: int = Field(gt=0)
    test: int = Field(gt=0)


class NegativesSection(Settings):
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


class HarvestSection(Settings):
    """Which harvested paths are trained on: at most so many a problem and side.

    `reasoners` names those whose paths are taken at all (None: every one's), `successes` the most
    successes over all problems. `fatal_step` is how the fatal step of a failure is found where
    the task has no solver: by a `brother`, by `rollouts`, not at all (`whole`); `auto` tries
    them in this order. `replay` is a text file of prompts, one a line, whose answers by the base
    `tuning.replay` learns again, beside what a tree search asked it.
    """

    reasoners: tuple[str, ...] | None = Field(None, min_length=1)
    successes: int | None = Field(None, gt=0)
    successes_per_problem: int = Field(4, gt=0)
    failures_per_problem: int = Field(4, ge=0)
    negatives: NegativesSection = NegativesSection()
    fatal_step: Literal["auto", "brother", "rollouts", "whole"] = "auto"
    replay: str | None = None


class ExportSection(Settings):
    """The GGUF files besides f16, how parity is judged, and what else is written beside them."""

    quantizations: tuple[Literal["q8_0", "q6_k", "q5_k_m", "q4_k_m"], ...] = ("q8_0",)
    greedy_problems: int = Field(50, gt=0)
    success_points: float = Field(2.0, gt=0)
    also: tuple[AnyExporter, ...] = Field(
        default_factory=lambda: (EXPORTERS.get("ollama").model_validate({}),)
    )


class Retention(Settings):
    """What tuning must not forget: the least that is kept of each ability, relative to the base.

    Measured on the first `problems` validation problems at every checkpoint. Rates must not fall
    below their floor; `heldout_nll`, on the text file `heldout` (None: the one that comes with the
    base, else ordinary English), must not rise above its. `other` is a task that the run does not
    tune on: its single pass, asked as the base is asked, has the floor `other_task`.
    `RetentionSection` adds a floor for each reasoner that grows a tree with a model.
    """

    problems: int = Field(100, gt=0)
    heldout: str | None = None
    other: AnyTask | None = None
    other_task: float | None = Field(None, gt=0, le=10)
    single_pass: float | None = Field(None, gt=0, le=10)
    sample: float | None = Field(None, gt=0, le=10)
    sibling: float | None = Field(None, gt=0, le=10)
    heldout_nll: float | None = Field(None, gt=0, le=100)

    @field_validator("other", mode="before")
    @classmethod
    def _reads_a_reference(cls, task: Any) -> Any:
        return None if task is None else settings_of(task)

    def floors(self) -> dict[str, float]:
        """Ability → floor, of those that have one."""
        return self.model_dump(exclude={"problems", "heldout", "other"}, exclude_none=True)


TREES = tuple(
    REASONERS.name_of(each) for each in REASONERS.all() if each.asks_model and each.grows_tree
)
_floor_of_a_tree: Any = (float | None, Field(None, gt=0, le=10))

if TYPE_CHECKING:
    RetentionSection = Retention
else:
    RetentionSection = create_model(
        "RetentionSection",
        __base__=Retention,
        __doc__=Retention.__doc__,
        **{name: _floor_of_a_tree for name in TREES if name not in Retention.model_fields},
    )


class BudgetsSection(Settings):
    """Token budgets a problem at which single pass, samples and searches are compared.

    A search at a budget is the same search, ended sooner: it is told of the first `problems` test
    problems, None being all.
    """

    tokens: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)
    problems: int | None = Field(None, gt=0)


class ExecutorSection(Settings):
    """Where the search is worked on: an executor's name, and settings that are its own.

    Executors are the pipeline's, which checks them before a run begins.
    """

    model_config = ConfigDict(extra="allow")

    name: str = "local"


class SweepSection(Settings):
    """What `ltf sweep` tunes if it is not told: grids by name, each with values by setting."""

    seeds: int = Field(1, gt=0, le=1000)
    grids: dict[str, dict[str, list[Any]]] = Field(min_length=1)


class Preset(Settings):
    """A whole run; every random choice comes from `seed`.

    `about` says what it is and `takes` how long it takes and where, for a person.
    `task`, `engine`, `tuning` and each of `search` and `evaluation` are plugins, ready for use.
    `previous` is the folder of a run whose tuned model searches and is tuned on, and whose harvest
    is kept. `quick` has other values by setting, such as `tuning.steps`, for a short first run.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    about: str = ""
    takes: str = ""
    seed: int = Field(0, ge=0)
    threads: int | None = Field(None, gt=0)
    task: AnyTask
    model: ModelSection
    problems: ProblemsSection
    engine: AnyEngine = Field(default_factory=lambda: _plain(ENGINES, "torch"))
    executor: ExecutorSection = ExecutorSection()
    search: tuple[AnyReasoner, ...] = Field(min_length=1)
    harvest: HarvestSection = HarvestSection()
    tuning: AnyMethod
    evaluation: tuple[AnyReasoner, ...] = Field(min_length=1)
    budgets: BudgetsSection | None = None
    retention: RetentionSection = RetentionSection()
    sweep: SweepSection | None = None
    export: ExportSection = Field(default_factory=ExportSection)
    previous: str | None = None
    quick: dict[str, Any] | None = None

    @property
    def searched(self) -> dict[str, int]:
        """Label of each reasoner of the search → how many training problems it is asked."""
        most = self.problems.train
        return {each.label: min(each.problems or most, most) for each in self.search}

    @property
    def dialects(self) -> tuple[str, str]:
        """The dialects in which the base is asked and in which its tuned copy learns."""
        model = self.model
        return asked_and_learnt(resolve(model.base).place, model.ask, model.learn)

    @property
    def system(self) -> str:
        """The system text of a chat."""
        told = self.model.system
        return system_of(resolve(self.model.base).place) if told is None else told

    @field_validator("task", mode="before")
    @classmethod
    def _reads_a_reference(cls, task: Any) -> Any:
        return settings_of(task)

    @field_validator("evaluation")
    @classmethod
    def _has_single_pass(cls, asked: tuple[Reasoner, ...]) -> tuple[Reasoner, ...]:
        if not any(reasoner.single_pass for reasoner in asked):
            raise ValueError("a run is judged by its single pass: add {name: cot, n: 1}")
        return asked

    @model_validator(mode="after")
    def _can_work_on_the_task(self) -> Preset:
        for reasoner in (*self.search, *self.evaluation):
            able(reasoner, self.task)
        return self

    @model_validator(mode="after")
    def _replays_what_was_said(self) -> Preset:
        searched = any(each.asks_model and each.grows_tree for each in self.search)
        if self.tuning.replay and not searched and self.harvest.replay is None:
            raise ValueError(
                "tuning.replay learns again what the base said while it searched: add a tree "
                "search with the model, such as {name: tot}, to the search, or name a text file "
                "of prompts as harvest.replay"
            )
        return self

    @model_validator(mode="after")
    def _measures_its_floors(self) -> Preset:
        names = {reasoner.name for reasoner in self.evaluation}
        if any(isinstance(each, CoT) and not each.single_pass for each in self.evaluation):
            names.add("sample")
        for name in sorted({*TREES, "sample"} & self.retention.floors().keys() - names):
            raise ValueError(f"retention.{name} needs such a reasoner among the evaluation's")
        return self

    @model_validator(mode="after")
    def _searches_what_it_harvests(self) -> Preset:
        names = {reasoner.name for reasoner in self.search}
        for name in self.harvest.reasoners or ():
            if name not in names:
                raise ValueError(
                    f"harvest.reasoners: no {name} among the search ({', '.join(sorted(names))})"
                )
        return self
