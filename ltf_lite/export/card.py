"""The model card that lies beside the GGUF files: what the model is, and how to ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ltf_lite import __version__
from ltf_lite.engines.template import DAY
from ltf_lite.evaluation.types import Rate
from ltf_lite.export.formats import Exported, Exporter
from ltf_lite.export.gguf.types import Divergence, Parity
from ltf_lite.export.uses import GREEDY, uses
from ltf_lite.tasks import Task, Verdict
from ltf_lite.tuning.settings import Tuning

SHOWN = 80  # characters of a problem in a sentence
WHOLE = ("F32", "F16", "BF16")  # types of weights that are no quantization


@dataclass(frozen=True)
class CardFacts:
    """What a card tells of a run besides its files.

    `tuning` is what the model was really tuned by, `searched` names the reasoners of its search,
    `rates` is the single pass of `base` and `tuned` on the test problems, before them what chance
    alone solves where that was measured. `answer` is what the model wrote for the prompt of
    `Exported`, `verdict` what the verifier said of it. `base_id` is the base's name on the Hub and
    `licence` its licence, empty where it is not known. `file` and `stored` are of a base that is a
    GGUF file: its name, and type of weights → their share. In a `round` after the first the tuned
    model searched as well.
    """

    about: str
    base: str
    load_in_4bit: bool
    tuning: Tuning
    train_problems: int
    searched: tuple[str, ...]
    rates: Mapping[str, Rate]
    answer: str
    verdict: Verdict
    parity: Parity
    base_id: str = ""
    licence: str = ""
    file: str = ""
    stored: Mapping[str, float] = field(default_factory=dict)
    round: int = 0


def model_card(facts: CardFacts, exported: Exported, also: Sequence[Exporter] = ()) -> str:
    """The card in Markdown; `also` are the exporters that have written beside the GGUF files."""
    success = facts.parity.success
    lines = [
        *_front_matter(facts),
        f"# {exported.name}",
        "",
        f"{facts.about}. Made by ltf_lite {__version__} from `{facts.base}`, whose licence goes on "
        "to hold for this model.",
        "",
        *_stored(facts.file, facts.stored),
        "## What it does",
        "",
        f"It answers problems of one task, {_task(exported.task)}, in a single pass. It is no chat "
        "model, and for other questions it was not looked at.",
        "",
        "| model | single pass, test problems |",
        "| --- | --- |",
        *(f"| {model} | {_percent(rate)} |" for model, rate in facts.rates.items()),
        *(f"| {kind} through llama.cpp | {_percent(of.rate)} |" for kind, of in success.items()),
        "",
        *_files(facts.parity, exported.files),
        "",
        "## How it was made",
        "",
        f"{_made(facts)} {_taught(exported)}",
        "",
        "## How to ask it",
        "",
        *_asked(facts, exported),
        "",
        *uses(exported, facts.load_in_4bit),
        *(hint for exporter in also if (hint := exporter.hint(exported))),
    ]
    return "\n".join(lines)


def _front_matter(facts: CardFacts) -> list[str]:
    """What the Hub reads of a card; nothing is said of a base or a licence that is not known."""
    told: dict[str, Any] = {"license": facts.licence} if facts.licence else {}
    if facts.base_id:
        told |= {"base_model": facts.base_id, "base_model_relation": "finetune"}
    told |= {"library_name": "gguf", "pipeline_tag": "text-generation"}
    told["tags"] = ["gguf", "llama-cpp", "ltf-lite", "text-generation"]
    return ["---", yaml.safe_dump(told, sort_keys=False, allow_unicode=True).strip(), "---", ""]


def _task(task: Task) -> str:
    """A task's name and settings in words."""
    told = task.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    settings = ", ".join(f"{name} {value}" for name, value in told.items())
    return f"{task.name} ({settings})" if settings else task.name


def _stored(file: str, stored: Mapping[str, float]) -> list[str]:
    """What a base that was a GGUF file is, and what it is not."""
    if not file:
        return []
    shares = ", ".join(
        f"{kind} {100 * share:.1f} %" for kind, share in stored.items() if share > 5e-4
    )
    kept = (
        "its weights were turned back into numbers, so this model comes from the quantized ones, "
        "not from the original checkpoint"
        if any(kind not in WHOLE for kind in stored)
        else "its weights were taken as they are"
    )
    return [f"That base is the GGUF file `{file}` ({shares}): {kept}.", ""]


def _made(facts: CardFacts) -> str:
    """Method, settings and data in words."""
    tuning = facts.tuning
    own = ", ".join(f"{name} {value}" for name, value in tuning.own().items() if name != "method")
    bits = "QLoRA (the base in 4-bit NF4)" if facts.load_in_4bit else "LoRA"
    return (
        f"{tuning.sentence or tuning.method}{', ' + own if own else ''}; {bits} rank "
        f"{tuning.rank}, {tuning.steps} steps of {tuning.batch * tuning.accumulation} successes at "
        f"learning rate {tuning.learning_rate}{_replayed(tuning)}. Data: paths that search found "
        f"on {facts.train_problems} training problems ({'; '.join(facts.searched)}), each verified"
        f"{_again(facts.round)}."
    )


def _again(round: int) -> str:
    return f"; {round + 1} rounds, the later searched with the tuned model" if round else ""


def _replayed(tuning: Tuning) -> str:
    if not tuning.replay:
        return ""
    return f", held to what the base said while it searched in {tuning.replay:.0%} of the rows"


def _taught(exported: Exported) -> str:
    """In which dialect the model learnt, and with which system text."""
    frame = exported.frame
    if frame is None:
        return f"It learnt in the dialect `{exported.dialect}`."
    told = " ".join(frame.system.split())
    day = f"; the date that the template writes was always {DAY:%d %B %Y}" if frame.dated else ""
    return (
        f"It learnt in the dialect `{exported.dialect}`, through the chat template of its base, "
        + (f"with the system text “{told}”" if told else "with no system text of its own")
        + f"{day}."
    )


def _asked(facts: CardFacts, exported: Exported) -> list[str]:
    """One problem as the model is asked, and its answer."""
    said = "right" if facts.verdict.correct else facts.verdict.kind
    stop = ", ".join(map(repr, exported.stop)) or "none"
    rule = exported.task.prompt_rule(exported.dialect)
    return [
        *([f"The prompt of a problem: {rule}.", ""] if rule else []),
        f"That of the problem `{_inline(exported.problem)}`, its last line break included, and "
        f"what the model wrote for it ({said}):",
        "",
        "```",
        *exported.prompt.rstrip("\n").split("\n"),
        *facts.answer.rstrip("\n").split("\n"),
        "```",
        "",
        f"Stop strings besides the end token: {stop}. Greedy decoding: {GREEDY}.",
    ]


def _inline(text: str) -> str:
    """A text in one line, short."""
    line = " ".join(text.split()).replace("`", "'")
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def _files(parity: Parity, files: Mapping[str, Path]) -> list[str]:
    """A table of the files: their size, what they hold, how far they lie from f16."""
    lines = [
        "| file | MiB | weights by type | KL divergence to f16 [95 %], nats a token | largest "
        "| same likeliest token |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind, file in parity.files.items():
        held = ", ".join(f"{type_} {100 * share:.1f} %" for type_, share in file.types.items())
        far = " | ".join(_far(parity.divergence.get(kind)))
        lines.append(f"| {kind} | {file.bytes / 2**20:.1f} | {held} | {far} |")
    measured = next(iter(parity.divergence.values()), None)
    where = (
        f"Measured at the {measured.tokens} positions of {measured.n} harvested paths. "
        if measured
        else ""
    )
    names = ", ".join(f"`{file.name}`" for file in files.values())
    return [
        *lines,
        "",
        f"The files are {names}. {where}llama.cpp keeps norms and biases in F32, and takes a wider "
        "type than a file's name says for some matrices: those that lose most, and all whose rows "
        "are no multiple of 256.",
    ]


def _far(found: Divergence | None) -> tuple[str, str, str]:
    """The figures of a divergence as cells of the table."""
    if found is None:
        return "–", "–", "–"
    span = "" if found.low is None else f" [{found.low:.2g}, {found.high:.2g}]"
    return f"{found.mean:.2g}{span}", f"{found.max:.2g}", f"{100 * found.same_top:.2f} %"


def _percent(rate: Rate) -> str:
    low, high = 100 * rate.low, 100 * rate.high
    return f"{100 * rate.rate:.1f} % [{low:.1f}, {high:.1f}], n = {rate.n}"
