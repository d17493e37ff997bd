"""Search the training problems with every reasoner of the preset and harvest all paths.

The work is a fixed list of parts, one shard each. A shard that is there is not made again, so a
killed search loses at most the part it was at.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from math import ceil

from ltf_lite.core.files import whole
from ltf_lite.core.places import place
from ltf_lite.core.progress import bar
from ltf_lite.harvest import replay, shards
from ltf_lite.pipeline.common import (
    chunks,
    previous_of,
    problems_of,
    round_of,
    searched_in,
    seed_of,
    set_threads,
)
from ltf_lite.pipeline.executors.part import Brought, Part, Search, size
from ltf_lite.pipeline.executors.plugin import executor_of
from ltf_lite.pipeline.hearing import hearing
from ltf_lite.pipeline.opening import search_engine, search_opening
from ltf_lite.pipeline.run.folder import Run

ASKED, ROOM = 200, 128  # prompts at once of a text to replay, and tokens of an answer


def main(run: Run) -> None:
    set_threads(run)
    preset = run.preset
    _bring(run)
    asked, fatal = searched_in(run).name, preset.harvest.fatal_step
    search = Search(preset.task, asked, run.at.harvest, fatal, round_of(run))
    searches = parts_of(run)
    todo = [[part for part in parts if not search.is_done(part)] for parts in searches]
    left = [part for parts in todo for part in parts]
    with executor_of(preset).open(search, left, search_opening(run), preset.threads) as executor:
        for number, (parts, own) in enumerate(zip(searches, todo, strict=True), 1):
            title = f"search {number}/{len(searches)}, {parts[0].reasoner.label}: problems"
            with bar(title, _size(parts), _size(parts) - _size(own)) as advance:
                for part, found in executor.run(own, advance):
                    advance(len(part.problems), _note(part, found))
    if not preset.previous:
        _replay(run)


def _bring(run: Run) -> None:
    """Take over what the previous run has harvested, and what the base said while it did."""
    if before := previous_of(run):
        for shard in sorted(before.at.harvest.glob("*.parquet")):
            if not (own := run.at.harvest / shard.name).is_file():
                with whole(own) as half:
                    shutil.copyfile(shard, half)


def _replay(run: Run) -> None:
    """Record what the base answers to the prompts that the preset names."""
    file, part = run.preset.harvest.replay, sum(map(len, parts_of(run)))
    if file is None or replay.shard(run.at.harvest, part).is_file():
        return
    prompts, said = replay.prompts_in(place(file)), list[replay.Said]()
    with closing(search_engine(run)) as engine, bar("answers to replay", len(prompts)) as advance:
        for few in chunks(prompts, ASKED):
            seed = seed_of(run.preset.seed, "replay", few[0])
            with hearing(engine, advance, "prompts"):
                said += replay.answers(few, engine, ROOM, seed)
            advance(len(few), f"{len(said)} answers")
    replay.write_said(run.at.harvest, part, said)


def parts_of(run: Run) -> list[list[Part]]:
    """The parts of each reasoner, in the preset's order.

    A run that goes on numbers them behind those of the run before, and asks only the model again.
    """
    return _parts(run)[1]


def _parts(run: Run) -> tuple[list[list[Part]], list[list[Part]]]:
    """The parts of the runs before, which ask the same problems, and the run's own."""
    before, problems = previous_of(run), problems_of(run, "train")
    earlier = [*chain(*_parts(before))] if before else []
    count = len(shards(before.at.harvest)) if before else 0
    again = [f"round {round_of(run)}"] if before else []
    found: list[list[Part]] = []
    for k, reasoner in enumerate(run.preset.search):
        if again and not reasoner.asks_model:
            continue
        own, each = list[Part](), size(reasoner)
        for chunk in chunks(problems[: reasoner.problems], each):
            seed = seed_of(run.preset.seed, "search", *again, k, chunk[0].id)
            first = each * len(own)
            shared = sharing([*earlier, *found], first, first + len(chunk))
            own.append(Part(count, reasoner, tuple(chunk), seed, shared))
            count += 1
        found.append(own)
    return earlier, found


def sharing(reasoners: Sequence[Sequence[Part]], first: int, end: int) -> tuple[int, ...]:
    """The numbers of the parts that have some of the problems from `first` to before `end`.

    The parts of each reasoner go through the same problems in order, as many in each but the last.
    """
    found = []
    for parts in filter(None, reasoners):
        size = len(parts[0].problems)
        found += [part.number for part in parts[first // size : ceil(end / size)]]
    return tuple(found)


def _size(parts: Sequence[Part]) -> int:
    return sum(len(part.problems) for part in parts)


def _note(part: Part, found: Brought) -> str:
    """What the last shard brought."""
    share = 100 * found.solved / len(part.problems)
    speed = "" if found.speed is None else f", {found.speed:,.0f} tokens/s"
    return (
        f"of the last {len(part.problems)}: {found.paths} paths, {share:.0f} % of problems "
        f"solved{speed}"
    )
