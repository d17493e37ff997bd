"""Write the GGUF files, and prove that they answer like the model that was tuned.

A run whose parity fails is a failed run; its record says by how much either way. A quantized file
that lost too much success is said to be that.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltf_lite.core.errors import naming
from ltf_lite.core.files import read_as, whole, write_as, write_text
from ltf_lite.core.progress import bar, say
from ltf_lite.core.prompt import Prompt
from ltf_lite.engines import Dialect, open_engine, pretrained
from ltf_lite.engines.dialect import chats, spoken
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.evaluation.naming import results_of
from ltf_lite.evaluation.significance import discordant
from ltf_lite.evaluation.types import Rate, Record, Scored, read_record
from ltf_lite.export import ExportError
from ltf_lite.export.base import named, told_of
from ltf_lite.export.card import CardFacts, model_card
from ltf_lite.export.formats import Exported
from ltf_lite.export.gguf.divergence import divergence
from ltf_lite.export.gguf.parity import bits_that_fit, greedy_parity, token_parity
from ltf_lite.export.gguf.quantize import quantize, tensor_types
from ltf_lite.export.gguf.types import (
    Divergence,
    FileFacts,
    GreedyParity,
    Parity,
    SuccessParity,
    TokenParity,
    judged,
)
from ltf_lite.export.gguf.vocabulary import adds_bos
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.harvest import Row, read
from ltf_lite.pipeline.common import (
    plain,
    problems_of,
    round_of,
    seed_of,
    set_threads,
    single_pass_of,
)
from ltf_lite.pipeline.hearing import Advance
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.pipeline.stages.evaluate import NO_MODEL, evaluate, record_file
from ltf_lite.tuning.checkpoints import Claim

TEXTS = 2000  # of the harvest, whose tokens are compared
PATHS = 100  # of the harvest, on which quantized files are held against f16

Text = tuple[str, str]  # a prompt and what follows it


def main(run: Run) -> dict[str, Any]:
    set_threads(run)
    run.at.gguf.mkdir(exist_ok=True)
    with bar("export", 4 + 2 * len(run.preset.export.quantizations)) as advance:
        files = _write(run, advance)
        parity = _proved(run, files, advance)
    write_as(run.at.parity, parity)
    describe(run, files, parity)
    if not parity.passed:
        raise ExportError(f"parity failed: {'; '.join(parity.failures)} (see {run.at.parity})")
    for each in parity.coarse:
        say(f"  BELOW ITS FLOOR: {each}")
    return {"bytes": {kind: file.bytes for kind, file in parity.files.items()}}


def _write(run: Run, advance: Advance) -> dict[str, Path]:
    """The files by kind, f16 first; one that is already there was found to be whole."""
    name, kinds = run.preset.name, run.preset.export.quantizations
    files = {kind: run.at.gguf / f"{name}.{kind}.gguf" for kind in ("f16", *kinds)}
    f16 = files["f16"]
    advance(0, f16.name)
    if not f16.is_file():
        with whole(f16) as half:
            write_gguf(run.at.model, half, "f16", name, {"ltf.task": run.preset.task.name})
    advance(1, f16.name)
    for kind in kinds:
        advance(0, files[kind].name)
        if not files[kind].is_file():
            with whole(files[kind]) as half:
                quantized(f16, half, kind)
        advance(1, files[kind].name)
    return files


def quantized(f16: Path, file: Path, kind: str) -> None:
    """As `quantize`; llama.cpp does not say that a disk is full: raises OSError in its place."""
    try:
        quantize(f16, file, kind)
    except ExportError as error:
        if shutil.disk_usage(file.parent).free < f16.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.parent)) from error
        raise


def _proved(run: Run, files: dict[str, Path], advance: Advance) -> Parity:
    """What is measured of the files, and whether that is enough."""
    f16, kinds = files["f16"], run.preset.export.quantizations
    advance(0, "tokenizer")
    tokens = _tokens(run, f16)
    advance(1, "tokenizer")
    advance(0, "greedy answers")
    greedy = _greedy(run, f16)
    advance(1, "greedy answers")
    success: dict[str, SuccessParity] = {}
    for kind in kinds:
        success[kind] = success_of(run, kind, files[kind], advance)
    advance(1, "success")
    far: dict[str, Divergence] = {}
    paths = paths_of(run) if kinds else []
    for kind in kinds:
        advance(0, f"{kind} against f16")
        far[kind] = divergence(f16, files[kind], paths)
        advance(1, f"{kind} against f16")
    facts = {k: FileFacts(os.path.getsize(file), tensor_types(file)) for k, file in files.items()}
    return judged(tokens, greedy, success, far, facts, run.preset.export.success_points)


def describe(run: Run, files: dict[str, Path], parity: Parity) -> None:
    """The model card and what the exporters write, from the run's own records."""
    preset, task, spoke = run.preset, run.preset.task, _chat(run, spoken(run.at.model))
    dialect = spoke.name
    records = {model: _record(run, model) for model in ("base", "tuned")}
    answer, *_ = records["tuned"].paths
    problem = next(each for each in records["tuned"].problems if each.id == answer.problem)
    prompt = task.prompt(problem, dialect)
    lora = next(iter(sorted(run.at.lora.glob("*.gguf"))), None)
    exported = Exported(
        name=preset.name,
        folder=run.at.gguf,
        model=run.at.model,
        files=files,
        task=task,
        dialect=dialect,
        problem=problem.text,
        prompt=spoke.render(prompt),
        question=Prompt.of(prompt).question,
        stop=tuple(task.stop(dialect)),
        room=task.room(problem, dialect),
        frame=spoke.frame and spoke.frame.opened(prompt),
        end=spoke.frame.end.strip() if spoke.frame else "",
        lora=lora,
    )
    method = read_as(run.at.tuning_run, Claim).method
    facts = CardFacts(
        about=preset.about,
        base=named(preset.model.base),
        load_in_4bit=preset.model.load_in_4bit,
        tuning=preset.tuning if preset.tuning.method == method else plain(preset.tuning),
        train_problems=preset.problems.train,
        searched=tuple(reasoner.label for reasoner in preset.search),
        round=round_of(run),
        rates=_floor(run) | {model: _single_pass(of).rate for model, of in records.items()},
        answer=answer.text,
        verdict=answer.verdict,
        parity=parity,
        **told_of(preset.model.base),
    )
    for exporter in preset.export.also:
        exporter.write(exported)
    write_text(run.at.card, model_card(facts, exported, preset.export.also))


def _floor(run: Run) -> dict[str, Rate]:
    """What chance alone solves, where the evaluation has a reasoner that tells."""
    folder, found = run.at.evaluation("base"), dict[str, Rate]()
    for reasoner in run.preset.evaluation:
        if not reasoner.asks_model:
            rows = results_of(read_record(record_file(folder, NO_MODEL, reasoner)))
            found |= {f"no model: {row.answer}": row.rate for row in rows if row.choice.is_floor}
    return found


def _chat(run: Run, spoke: Dialect) -> Dialect:
    """The dialect with its frame as one writes it who asks the GGUF file: that adds its BOS."""
    if not chats(spoke.name):
        return spoke
    tokenizer = pretrained.tokenizer(run.at.model)
    found = spoke.of(tokenizer, str(run.at.model))
    bos = tokenizer.bos_token if adds_bos(tokenizer) else None
    if not found.frame or not bos:
        return found
    frame = replace(found.frame, before=found.frame.before.removeprefix(bos))
    return replace(found, frame=frame)


def _record(run: Run, model: str) -> Record:
    """The record of the run's `base` or `tuned` model in a single pass."""
    return read_record(record_file(run.at.evaluation(model), model, single_pass_of(run)))


def _single_pass(record: Record) -> Scored:
    found = record.single_pass
    assert found is not None, f"{record.label} is no single pass"
    return found


def _tokens(run: Run, f16: Path) -> TokenParity:
    dialect = spoken(run.at.model)
    rows = itertools.islice(read(run.at.harvest), TEXTS)
    texts = [text for row in rows for text in _told(run, row, dialect)]
    engine = LlamaCppEngine(f16)
    try:
        return token_parity(pretrained.tokenizer(run.at.model), engine, texts)
    finally:
        engine.close()


def _told(run: Run, row: Row, dialect: Dialect) -> Text:
    """A path of the harvest as the tuned model is asked and answers."""
    task = run.preset.task
    text = task.rewritten(row.problem, row.text, dialect.name)
    return task.prompt(row.problem, dialect.name), row.text if text is None else text


def paths_of(run: Run) -> list[Text]:
    """Prompt and text of some paths, drawn from the whole harvest, one in memory for each."""
    rng = random.Random(seed_of(run.preset.seed, "divergence"))
    drawn: list[Row] = []
    for n, row in enumerate(read(run.at.harvest)):
        at = n if n < PATHS else rng.randrange(n + 1)
        if at < PATHS:
            drawn[at : at + 1] = [row]
    dialect = spoken(run.at.model)
    return [_told(run, row, dialect) for row in drawn]


def _greedy(run: Run, f16: Path) -> GreedyParity:
    """Token for token against transformers, in 32 bits throughout if the memory allows it."""
    task, dialect = run.preset.task, spoken(run.at.model).name
    problems = problems_of(run, "test")[: run.preset.export.greedy_problems]
    prompts = [task.prompt(problem, dialect) for problem in problems]
    own = single_pass_of(run).settings().get("max_tokens")
    room = own or max(task.room(problem, dialect) for problem in problems)
    bits = bits_that_fit(run.at.model)
    if bits == 16:
        return greedy_parity(run.at.model, f16, prompts, room, bits)
    f32 = f16.with_name(".parity.f32.gguf")
    try:
        with naming(f32):
            write_gguf(run.at.model, f32, "f32", run.preset.name)
        return greedy_parity(run.at.model, f32, prompts, room, bits)
    finally:
        f32.unlink(missing_ok=True)


def success_of(run: Run, kind: str, file: Path, advance: Advance) -> SuccessParity:
    """Single pass of the quantized file on the test set, beside the torch model's."""
    engine = open_engine(file)
    try:
        name, reasoner = f"tuned {kind}", single_pass_of(run)
        found = evaluate(run, engine, name, reasoner, run.at.gguf, advance=advance)
    finally:
        engine.close()
    own, wanted = _single_pass(found), _single_pass(_record(run, "tuned"))
    pair = [[mark == "1" for mark in each.solved or ""] for each in (own, wanted)]
    more, less = discordant(*pair)
    points = 100 * (more - less) / own.rate.n  # of whole problems: a difference of rates rounds
    return SuccessParity(rate=own.rate, torch=wanted.rate.rate, points=points)
