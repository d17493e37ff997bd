"""The reasoners of a preset: each with its settings and their bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Budget(Section):
    """The most tokens that a reasoner may generate a problem."""

    tokens: int = Field(gt=0)


class ReasonerSection(Section):
    """A reasoner and its settings; `problems` limits it to the first so many."""

    name: str
    problems: int | None = Field(None, gt=0)

    def settings(self) -> dict[str, Any]:
        """What the reasoner is made with."""
        own = self.model_dump(exclude={"name", "problems"}, exclude_none=True)
        return {k: v["tokens"] if k == "budget" else v for k, v in own.items()}

    @property
    def single_pass(self) -> bool:
        """Whether this is one greedy chain of thought, as long as it likes."""
        return False

    @property
    def label(self) -> str:
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.settings().items())])


class CotSection(ReasonerSection):
    name: Literal["cot"]
    n: int | None = Field(None, gt=0, le=1024)
    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    budget: Budget | None = None

    @model_validator(mode="after")
    def _samples_differ(self) -> CotSection:
        if (self.n or 1) > 1 and not self.temperature:
            raise ValueError("cot with n above 1 needs a temperature above 0")
        return self

    @property
    def single_pass(self) -> bool:
        return (self.n or 1) == 1 and not self.temperature and self.budget is None


class TreeSection(ReasonerSection):
    """What tree of thoughts and RAP share."""

    expand: Literal["propose", "sample"] | None = None
    samples: int | None = Field(None, gt=0, le=256)
    votes: int | None = Field(None, gt=0, le=256)
    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    transitions: Literal["checked", "faithful"] | None = None
    oracle: bool | None = None
    budget: Budget | None = None


class TotSection(TreeSection):
    name: Literal["tot"]
    order: Literal["breadth", "depth"] | None = None
    beam: int | None = Field(None, gt=0, le=1024)
    value: Literal["prompt", "logprob", "rollout"] | None = None
    threshold: float | None = Field(None, ge=0, le=1)
    expansions: int | None = Field(None, gt=0)


class RapSection(TreeSection):
    name: Literal["rap"]
    iterations: int | None = Field(None, gt=0)
    exploration: float | None = Field(None, ge=0)
    likelihood: float | None = Field(None, ge=0, le=1)
    depth: int | None = Field(None, gt=0)


class ExactSection(ReasonerSection):
    name: Literal["bfs", "dfs"]
    paths: int | None = Field(None, ge=0)
    failures: int | None = Field(None, ge=0)


class RandomSection(ReasonerSection):
    name: Literal["random"]


AnyReasoner = Annotated[
    CotSection | TotSection | RapSection | ExactSection | RandomSection,
    Field(discriminator="name"),
]
