"""Replay: what the base said while it searched is recorded, read back, and learnt again."""

from __future__ import annotations

import importlib
from contextlib import closing
from statistics import fmean

import pyarrow.parquet as pq
import pytest
import torch

from ltf_lite import presets
from ltf_lite.core.files import BrokenFile
from ltf_lite.engines import Completion, Dialect, Prompt, model_path, open_engine
from ltf_lite.engines.torch.engine import TorchEngine
from ltf_lite.harvest import Example, read, replayed, write_said
from ltf_lite.harvest.replay import ReplayError, Said, prompts_in, recorded, shard
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.checks import check
from ltf_lite.pipeline.executors.part import Part, Search, done
from ltf_lite.reasoners import get_reasoner
from ltf_lite.tasks import get_task
from ltf_lite.tiny import tokenizer
from ltf_lite.tuning import TuningError, load_for_tuning, tune
from ltf_lite.tuning.data import Batches, replay_of
from ltf_lite.tuning.trainer import UFTTrainer
from ltf_lite.tuning.types import Validation, read_log
from tests.settings import tuning
from tests.test_packing import rows
from tests.test_presets import changed

COMPACT = Dialect("compact")
TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)


@pytest.fixture(scope="module")
def engine():
    with closing(open_engine("tiny-base")) as own:
        yield own


@pytest.fixture(scope="module")
def harvest(engine, tmp_path_factory):
    """Parts of a search by the embedded base: chains, a tree, and a tree on other problems."""
    folder = tmp_path_factory.mktemp("harvest")
    problems = tuple(TASK.problems("train", 12, 0))
    search = Search(TASK, "compact", folder)
    for number, (name, own) in enumerate(
        [("cot", problems), ("tot", problems[:6]), ("rap", problems[6:])]
    ):
        few = {"iterations": 3} if name == "rap" else {"beam": 2} if name == "tot" else {}
        part = Part(number, get_reasoner(name, **few), own, 7)
        assert not search.is_done(part)
        done(part, search, engine)
        assert search.is_done(part)
    return folder


@pytest.mark.slow
def test_a_searchs_questions_are_recorded_and_no_answer_to_a_problem(harvest):
    said = recorded(harvest)
    assert len(said) == len(set(said)) > 50
    own = {TASK.prompt(row.problem, "compact") for row in read(harvest)}
    assert not any(each.question.startswith(tuple(own)) for each in said)
    proposals = [each for each in said if each.kind == "proposal"]
    judgements = [each for each in said if each.kind == "judgement"]
    assert len(proposals) + len(judgements) == len(said)
    assert all(each.question.endswith("?\n") and "=" in each.text for each in proposals)
    assert not any(each.question.endswith("?\n") for each in judgements)
    assert {each.text.strip() for each in judgements} == {"sure", "likely", "impossible"}
    assert not shard(harvest, 0).exists()  # chains ask nothing else


def test_proposals_are_learnt_again_only_where_nothing_was_judged(harvest, tmp_path):
    said = recorded(harvest)
    judged = [each.example() for each in said if each.kind == "judgement"]
    assert sorted(replayed(harvest, 0), key=repr) == sorted(judged, key=repr)
    own = Said("Who are you?", "", True, "", "A model.", True, "answer")
    write_said(tmp_path, 0, [each for each in said if each.kind == "proposal"])
    write_said(tmp_path, 1, [own])
    left = replayed(tmp_path, 0)
    assert len(left) == len(said) - len(judged) + 1
    write_said(tmp_path, 2, [each for each in said if each.kind == "judgement"])
    assert len(replayed(tmp_path, 0)) == len(judged) + 1
    assert own.example() in replayed(tmp_path, 0)


def test_what_is_learnt_again_is_what_the_model_wrote_token_for_token(harvest, engine):
    said = replayed(harvest, 0)
    tok = tokenizer.build()
    for example, row in zip(said, replay_of(said, tok, 96, COMPACT), strict=True):
        learnt = [i for i, marked in zip(row.ids, row.marked, strict=True) if marked]
        assert learnt == row.ids[-len(learnt) :]
        assert (learnt[-1] == tok.eos_token_id) == example.ends
        assert tok.decode(learnt, skip_special_tokens=True) == example.completion
    # A greedy judgement is asked again, and is the same.
    again = [each for each in said if not each.prompt.endswith("?\n")][:8]
    scores = engine.score([each.prompt for each in again], [each.completion for each in again])
    assert max(score.logprob for score in scores) > -1


def test_a_part_whose_record_is_missing_is_not_done(harvest, tmp_path, engine):
    part = Part(1, get_reasoner("tot", beam=2), tuple(TASK.problems("train", 3, 0)), 7)
    search = Search(TASK, "compact", tmp_path)
    done(part, search, engine)
    shard(tmp_path, 1).unlink()
    assert not search.is_done(part)
    shard(tmp_path, 1).write_bytes(b"PAR1")
    with pytest.raises(BrokenFile, match="replay-00001"):
        replayed(tmp_path, 0)


def test_a_record_of_before_the_kinds_is_said_to_be_that(harvest, tmp_path):
    old = pq.read_table(shard(harvest, 1)).drop_columns(["kind"])
    pq.write_table(old, shard(tmp_path, 0))
    with pytest.raises(ReplayError, match=r"replay-00000\.parquet is of an earlier ltf"):
        replayed(tmp_path, 0)


def test_of_many_texts_some_are_drawn_by_the_seed(harvest):
    every = replayed(harvest, 0)
    few = replayed(harvest, 0, most=20)
    assert len(few) == 20
    assert set(map(repr, few)) < set(map(repr, every))
    assert few == replayed(harvest, 0, most=20) != replayed(harvest, 1, most=20)


def test_the_turns_of_a_chat_come_back(tmp_path):
    prompt = Prompt("Is it right?", "I say ", turns=[("1?", "one"), ("2?", "two")])
    said = Said.of(prompt, Completion("sure", 2, -0.1, True, "\n\n"), "judgement")
    other = Said.of("plain", Completion("yes", 2, None, True), "answer")
    write_said(tmp_path, 4, [said, other])
    first, second = replayed(tmp_path, 0)
    assert (first.prompt, first.completion, first.ends) == (prompt, "sure\n\n", False)
    assert Prompt.of(first.prompt).turns == prompt.turns
    assert Prompt.of(first.prompt).reply == "I say "
    assert (second.prompt, second.completion, second.ends) == ("plain", "yes", True)


def test_replay_has_its_share_of_rows_and_of_the_loss(tmp_path):
    told = tuning(steps=2, batch=9, ratio=1 / 3, replay=0.25, rank=4, max_length=64)
    sides = rows(20, 5, 30), rows(20, 5, 30, good=False, seed=1), rows(20, 5, 30, seed=2)
    data = Batches(*sides[:2], told, 0, False, sides[2])
    again = data.step(0)[2]
    assert [len(side) for side in data.step(0)] == [9, 3, 4]
    model, _ = load_for_tuning(model_path("tiny-base"), told)

    def loss(told, data):
        with torch.no_grad():
            (piece,) = data.pieces(0, 1)
            return float(UFTTrainer(model, data, told, tmp_path).compute_loss(model, piece))

    none = told.model_copy(update={"replay": 0.0})
    plain = Batches(*sides[:2], none, 0)
    # A fresh adapter changes nothing: the model is the base.
    assert loss(told, data) == pytest.approx(0.75 * loss(none, plain), rel=1e-5)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05, generator=torch.Generator().manual_seed(1))
    (piece,) = data.pieces(0, 1)
    assert piece.tokens.replay == sum(len(row.ids) for row in again)
    mean = fmean(fmean(divergences(model, row)) for row in again)
    assert mean > 0.01
    assert loss(told, data) == pytest.approx(0.75 * loss(none, plain) + 0.25 * mean, rel=1e-4)


@torch.no_grad()
def divergences(model, row):
    """KL from the base before each marked token of a row, from whole logits."""
    ids = torch.tensor([row.ids])
    now = model(ids).logits[0].double().log_softmax(-1)
    with model.disable_adapter():
        base = model(ids).logits[0].double().log_softmax(-1)
    kl = (base.exp() * (base - now)).sum(-1)
    return [float(kl[at - 1]) for at, marked in enumerate(row.marked) if marked and at]


@pytest.mark.slow
def test_replay_keeps_what_tuning_without_it_loses(harvest, tmp_path):
    """Judged by texts of a search on other problems, which are not trained on."""
    said = [each.example() for each in recorded(harvest)]
    asked = sorted({each.prompt for each in said})
    kept = set(asked[::2])
    trained = [each for each in said if each.prompt in kept]
    other = [each for each in said if each.prompt not in kept]
    good = [
        Example(TASK.prompt(row.problem, "compact"), row.text, True, 0, len(row.text))
        for row in read(harvest)
        if row.correct
    ]

    def nll(model, tok) -> float:
        engine = TorchEngine(model, tok, COMPACT)
        scores = engine.score([each.prompt for each in other], [each.completion for each in other])
        return -sum(score.logprob for score in scores) / sum(score.tokens for score in scores)

    def tuned(share: float) -> float:
        found = []

        def validate(model, tok):
            found.append(nll(model, tok))
            return Validation(0.5)

        told = tuning(
            method="sft", steps=40, eval_every=40, batch=8, learning_rate=3e-3, warmup=2,
            rank=16, max_length=96, replay=share,
        )  # fmt: skip
        out = tmp_path / str(share)
        result = tune(
            model_path("tiny-base"), good, out, told, validate, dialect=COMPACT,
            replay=trained if share else (),
        )  # fmt: skip
        assert bool(result.tokens.replay) == bool(share)
        assert (read_log(out / "log.jsonl")[-1].replay > 0) == bool(share)
        return found[-1]

    with closing(open_engine("tiny-base")) as base:
        before = nll(base.model, base.tokenizer)
    without, with_replay = tuned(0.0), tuned(0.25)
    assert without > before + 0.2
    assert with_replay < before + 0.3 * (without - before)


def test_replay_without_anything_said_is_refused(tmp_path):
    told = tuning(steps=2, batch=4, replay=0.25, rank=4, max_length=64)
    with pytest.raises(TuningError, match="nothing to replay"):
        Batches(rows(8, 5, 30), rows(8, 5, 30, good=False), told, 0)
    long = [Example("1,2?\n", "1+2=3\n" * 40, True, 0, 240, False)]
    with pytest.raises(TuningError, match=r"longer than tuning\.max_length, 64 tokens"):
        replay_of(long, tokenizer.build(), 64, COMPACT)


def test_a_preset_that_replays_has_a_tree_search_with_the_model():
    data = changed("tuning.replay", 0.25)
    assert presets.parse(data, "here").tuning.replay == 0.25
    data["search"] = [each for each in data["search"] if each["name"] != "tot"]
    with pytest.raises(presets.PresetError, match=r"tuning\.replay.*add a tree search"):
        presets.parse(data, "here")


def test_a_text_files_prompts_are_answered_once_and_learnt_again(tmp_path):
    """The search stage of a run whose reasoners ask no questions of their own."""
    file = tmp_path / "prompts.txt"
    asked = [TASK.prompt(problem, "compact").strip() for problem in TASK.problems("test", 30, 3)]
    file.write_text("\n\n".join([*asked, asked[0]]))
    assert prompts_in(file) == asked
    data = changed("tuning.replay", 0.25)
    data["search"] = [{"name": "cot", "n": 1, "problems": 30, "max_tokens": 40}]
    data["harvest"] = {"replay": str(file)}
    (tmp_path / "run").mkdir()
    run = Run.prepare(tmp_path / "run", presets.parse(data, "here"), False)
    for stage in ("problems", "search"):
        importlib.import_module(f"ltf_lite.pipeline.stages.{stage}").main(run)
    (record,) = run.at.harvest.glob("replay-*")
    said = replayed(run.at.harvest, 0)
    assert len(said) > 20
    assert {each.prompt for each in said} <= set(asked)
    told = record.stat().st_mtime_ns
    importlib.import_module("ltf_lite.pipeline.stages.search").main(run)
    assert record.stat().st_mtime_ns == told
    parts = ("search", "harvest.replay")
    before = run.input_hash(parts, ())
    assert run.input_hash(("search",), ()) != before
    file.write_text("another prompt")
    assert run.input_hash(parts, ()) != before  # what the file holds counts, not its name


def test_a_text_without_prompts_is_refused_before_anything_is_written(tmp_path):
    data = changed("harvest", {"replay": str(tmp_path / "none.txt")})
    with pytest.raises(presets.PresetError, match=r"harvest\.replay: .*none\.txt can't be read"):
        check(presets.parse(data, "here"))
    (tmp_path / "none.txt").write_text(" \n\n")
    with pytest.raises(presets.PresetError, match=r"has no prompts: it holds one a line"):
        check(presets.parse(data, "here"))
