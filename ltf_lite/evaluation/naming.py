"""What a way of answering is called, for people: in tables, figures and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ltf_lite.core.plugins import PluginError
from ltf_lite.evaluation.types import Record, Result
from ltf_lite.reasoners import REASONERS, Choice

# What is chosen among samples, whatever their number.
KINDS = {
    "single_pass": "single pass",
    "self_consistency": "self-consistency",
    "best_of_n": "best of n by likelihood",
}


def title_of(reasoner: str) -> str:
    """The word for a reasoner; its name where this machine has no such plugin."""
    try:
        return REASONERS.get(reasoner).title or reasoner
    except PluginError:
        return reasoner


def name_of(choice: Choice, title: str, settings: Mapping[str, Any]) -> str:
    """The words for a way of answering; an upper bound is named as one.

    `title` is the reasoner's, `settings` those that differ from its defaults: they tell one search
    from another.
    """
    many = size_of(choice)
    by = settings_of(settings)
    full = f"{title} ({by})" if by else title
    held = ", grammar" if settings.get("grammar") else ""  # of samples nothing else is told
    if choice.kind == "single_pass":
        return f"{KINDS['single_pass']}{held}"
    if choice.kind == "sample":
        return f"one sample (mean){held}"
    if choice.kind == "self_consistency":
        return f"self-consistency@{many}{held}"
    if choice.kind == "best_of_n":
        return f"best of {many} by likelihood{held}"
    if choice.kind == "oracle":
        among = f"oracle@{many}{held}" if many else f"{full}: oracle over its paths"
        return f"{among} (the verifier picks: upper bound)"
    if choice.is_bound:
        return f"{full}, the verifier picks and stops it (upper bound)"
    if choice.is_floor:
        return f"{title} (floor)"
    return title if choice.picker == "solver" else full


def worded(
    reasoner: str,
    settings: Mapping[str, Any],
    single: bool,
    words: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A reasoner with its settings in words, as a figure or a list calls it; `single`: one pass.

    `words` may have other words for a reasoner's name and for `single`.
    """
    if single:
        return words.get("single", KINDS["single_pass"])
    if reasoner == "cot" and "n" in settings:
        return words.get("samples", "{n} samples").format(n=settings["n"])
    title = words.get(reasoner) or title_of(reasoner)
    by = settings_of(settings)
    return f"{title} ({by})" if by else title


def short_name(choice: Choice, reasoner: str) -> str:
    """A short name for a crowded figure; `reasoner` is the plugin's name."""
    many = size_of(choice)
    if choice.kind == "single_pass":
        return KINDS["single_pass"]
    if choice.kind == "sample":
        return "one sample"
    if choice.kind == "self_consistency":
        return f"self-consistency@{many}"
    if choice.kind == "best_of_n":
        return f"best of {many}"
    if choice.kind == "oracle":
        return f"oracle@{many}" if many else f"oracle of {title_of(reasoner)}"
    return f"oracle {title_of(reasoner)}" if choice.is_bound else title_of(reasoner)


def size_of(choice: Choice) -> str:
    """How many samples are chosen among, or the tokens they fit; "" for what is no sample."""
    if choice.tokens is not None:
        return f"{choice.tokens} tokens"
    return "" if choice.n is None else str(choice.n)


def settings_of(settings: Mapping[str, Any]) -> str:
    """Settings for a person: `beam 3, value logprob`."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def results_of(record: Record) -> list[Result]:
    """A row for each way of choosing of a record."""
    title = title_of(record.reasoner)
    return [
        Result(
            model=record.model,
            answer=name_of(scored.choice, title, record.settings),
            reasoner=record.reasoner,
            label=record.label,
            settings=record.settings,
            calls=record.calls,
            valid_steps=record.valid_steps,
            scored=scored,
            runtime=record.runtime,
        )
        for scored in record.scored
    ]
