"""Tasks: problems, splits that never share one, settings and problems that are refused."""

from __future__ import annotations

import json
import pickle
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltf_lite.tasks import SPLITS, Problem, TaskError, get_task
from ltf_lite.tasks.numbers.countdown import Countdown
from ltf_lite.tasks.numbers.game import posed
from ltf_lite.tasks.numbers.game24 import PUZZLES, Game24, puzzles

COUNTDOWN = Countdown()
GAME24 = Game24()
NAMES = ["countdown", "game24"]


def _sentence(error: pytest.ExceptionInfo, *words: str) -> None:
    """One line, not a page, that names what is wrong."""
    said = str(error.value)
    assert "\n" not in said
    assert len(said) < 250
    for word in words:
        assert word in said


# -- the words ------------------------------------------------------------------------------------


def test_the_kinds_are_these():
    assert (
        list(COUNTDOWN.kinds)
        == list(GAME24.kinds)
        == [
            "format",
            "illegal",
            "arithmetic",
            "bookkeeping",
            "dead_end",
            "incomplete",
            "no_steps",
            "wrong_answer",
            "unclear",
        ]
    )


@pytest.mark.parametrize(
    ("name", "words"), [("countdwn", ("countdown?",)), ("chess", ("countdown", "game24"))]
)
def test_an_unknown_task_is_refused_with_the_nearest_name(name, words):
    with pytest.raises(TaskError) as error:
        get_task(name)
    _sentence(error, name, *words)


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(TaskError) as error:
        get_task("countdown", target=(1, 2))
    _sentence(error, "'target'", "'targets'?")
    with pytest.raises(TaskError) as error:
        get_task("game24", count=3)
    _sentence(error, "'count'", "ranked")


# -- splits ---------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    seeds=st.tuples(*[st.integers(0, 10**6)] * 3),
    sizes=st.tuples(*[st.integers(1, 40)] * 3),
    count=st.integers(3, 4),
    highest=st.integers(10, 100),
    lowest_target=st.integers(0, 50),
    draw=st.sampled_from(["uniform", "walk"]),
)
def test_countdown_splits_never_share_a_problem(seeds, sizes, count, highest, lowest_target, draw):
    task = Countdown(
        count=count,
        numbers=(1, highest),
        targets=(lowest_target, lowest_target + 60),
        draw=draw,
    )
    ids: set[str] = set()
    for split, seed, size in zip(SPLITS, seeds, sizes, strict=True):
        problems = task.problems(split, size, seed)
        own = {problem.id for problem in problems}
        assert len(own) == len(problems) == size
        assert not own & ids
        ids |= own
        assert all(task.solvable(problem) for problem in problems)


@given(st.lists(st.integers(1, 100), min_size=2, max_size=6), st.integers(0, 100), st.randoms())
def test_the_order_of_the_numbers_changes_neither_id_nor_split(numbers, target, rng):
    shuffled = list(numbers)
    rng.shuffle(shuffled)
    one, other = (posed("countdown", each, target) for each in (numbers, shuffled))
    assert one.id == other.id
    assert COUNTDOWN.split_of(one) == COUNTDOWN.split_of(other)


def test_test_targets_are_held_out_of_training():
    held_out = COUNTDOWN.test_targets
    assert len(held_out) == 9  # a tenth of 10..100
    for split in SPLITS:
        targets = {problem.data["target"] for problem in COUNTDOWN.problems(split, 300, 5)}
        assert targets <= held_out if split == "test" else not targets & held_out
    assert Countdown(count=5).test_targets == held_out


def test_the_same_seed_gives_the_same_problems_and_another_seed_others():
    for task in (Countdown(), Game24()):
        first = task.problems("train", 20, 1)
        assert first == type(task)().problems("train", 20, 1)
        assert first != task.problems("train", 20, 2)
        assert task.problems("train", 5, 1) != task.problems("validation", 5, 1)


def test_problems_stay_within_the_settings():
    task = Countdown(count=3, numbers=(5, 9), targets=(20, 40), max_intermediate=99)
    for problem in task.problems("train", 40, 0):
        assert len(problem.data["numbers"]) == 3
        assert all(5 <= number <= 9 for number in problem.data["numbers"])
        assert 20 <= problem.data["target"] <= 40
        assert all(move.result <= 99 for path in task.solutions(problem) for move in path)


# -- game of 24 -----------------------------------------------------------------------------------


def test_there_are_1362_puzzles():
    assert len(puzzles()) == len(set(puzzles())) == PUZZLES == 1362
    assert puzzles()[0] == (1, 1, 1, 8)
    assert (3, 3, 8, 8) in puzzles()  # 8 / (3 - 8 / 3): only with fractions
    assert (1, 1, 1, 1) not in puzzles()


def test_game24_splits_hold_every_puzzle_once():
    splits = {split: GAME24._splits[split] for split in SPLITS}
    numbers = [
        tuple(problem.data["numbers"]) for problems in splits.values() for problem in problems
    ]
    assert sorted(numbers) == sorted(puzzles())
    assert all(len(problems) > 90 for problems in splits.values())
    for split, problems in splits.items():
        assert {p.id for p in GAME24.problems(split, len(problems), 3)} == {p.id for p in problems}
        with pytest.raises(TaskError) as error:
            GAME24.problems(split, len(problems) + 1, 0)
        _sentence(error, split, str(len(problems)))


@pytest.fixture
def ranked(tmp_path):
    """A CSV of all puzzles in some order, as the usual list has them: rank, puzzle, more."""
    rows = list(puzzles())
    random.Random(0).shuffle(rows)
    file = tmp_path / "24.csv"
    lines = [f"{k},{' '.join(map(str, row))},4.4,99%\n" for k, row in enumerate(rows, 1)]
    file.write_text("\ufeffRank,Puzzles,AMT (s),Solved rate\n" + "".join(lines), encoding="utf-8")
    return file, rows


def test_the_split_by_rank(ranked):
    file, rows = ranked
    task = Game24(ranked=str(file))
    test = {tuple(problem.data["numbers"]) for problem in task.problems("test", 100, 0)}
    assert test == set(rows[900:1000])
    assert len(task._splits["train"]) + len(task._splits["validation"]) == 1262
    hardest = Game24(ranked=str(file), test_ranks=(1353, 1362))
    assert {tuple(p.data["numbers"]) for p in hardest.problems("test", 10, 0)} == set(rows[1352:])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("0 puzzles", "1000")),
        (b"Rank,Puzzles\n1,4 9 10 13\n", ("1 puzzles", "1000")),
        (b"1,1 1 1 1\n", ("1 1 1 1", "no solvable puzzle")),
        (b"1,1 2 3 99\n", ("1 2 3 99",)),
        ("1,٣ 3 8 8\n".encode(), ("0 puzzles",)),
        (b"1," + b"9" * 5000 + b" 3 8 8\n", ("0 puzzles",)),
        (b"\xff\xfe\x00", ("cannot read",)),
        (b'1,"' + b"x" * 200_000 + b'"\n', ("cannot read",)),
        (b"4 9 10 13\n" * 2000, ("1 puzzles",)),
    ],
)
def test_a_bad_ranked_csv_is_one_sentence(tmp_path, content, words):
    file = tmp_path / "24.csv"
    file.write_bytes(content)
    with pytest.raises(TaskError) as error:
        Game24(ranked=str(file)).problems("train", 1, 0)
    said = str(error.value).replace(str(file), "FILE")
    assert "\n" not in said
    assert all(word in said for word in words), said


@pytest.mark.parametrize("name", ["nowhere.csv", ".", "a\0b"])
def test_a_ranked_csv_that_is_not_there(tmp_path, name):
    with pytest.raises(TaskError, match="cannot read the ranked puzzles"):
        Game24(ranked=str(tmp_path / name)).problems("train", 1, 0)


@pytest.mark.parametrize("ranks", [(0, 5), (5, 1), (1300, 1400), (1,), "12", None, (1.0, 2)])
def test_impossible_test_ranks_are_refused(ranks):
    with pytest.raises(TaskError) as error:
        get_task("game24", test_ranks=ranks)
    _sentence(error, "test_ranks")


# -- settings that cannot be ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"count": 1}, "count"),
        ({"count": 7}, "count"),
        ({"count": 2.0}, "count"),
        ({"count": "٣"}, "count"),
        ({"numbers": (0, 5)}, "numbers"),
        ({"numbers": (-3, 5)}, "numbers"),
        ({"numbers": (9, 5)}, "numbers"),
        ({"numbers": (1, 10**6)}, "numbers"),
        ({"numbers": (1, 10**5000)}, "numbers"),
        ({"numbers": 5}, "numbers"),
        ({"numbers": [1, 2, 3]}, "numbers"),
        ({"numbers": (1, None)}, "numbers"),
        ({"numbers": (True, 5)}, "numbers"),
        ({"targets": (-1, 5)}, "targets"),
        ({"targets": (50, 10)}, "targets"),
        ({"targets": (1, float("nan"))}, "targets"),
        ({"max_intermediate": 99}, "max_intermediate"),
        ({"max_intermediate": 1e9}, "max_intermediate"),
        ({"draw": "often"}, "draw"),
    ],
    ids=range(19),
)
def test_impossible_settings_are_refused(settings, word):
    with pytest.raises(TaskError) as error:
        get_task("countdown", **settings)
    _sentence(error, word)


@pytest.mark.parametrize(
    "settings",
    [
        {"numbers": (1, 1), "targets": (90, 100)},
        {"count": 2, "numbers": (2, 5), "targets": (9000, 9999)},
        {"numbers": (60, 90), "targets": (40, 50), "max_intermediate": 50, "count": 2},
        {
            "numbers": (60, 90),
            "targets": (40, 50),
            "max_intermediate": 50,
            "draw": "walk",
            "count": 2,
        },
    ],
)
def test_a_range_without_solutions_is_refused(settings):
    task = get_task("countdown", **settings)
    with pytest.raises(TaskError) as error:
        task.problems("train", 5, 0)
    _sentence(error, "found only 0 of 5", "solvable", "widen the ranges")


def test_a_cap_that_leaves_few_steps_stops_no_walk():
    task = Countdown(numbers=(50, 90), targets=(1, 9), max_intermediate=9, draw="walk")
    assert len(task.problems("train", 20, 0)) == 20


def test_more_problems_than_there_are_is_refused_with_how_many():
    task = Countdown(count=2, numbers=(1, 3), targets=(4, 6))
    with pytest.raises(TaskError) as error:
        task.problems("train", 100, 0)
    _sentence(error, "of 100", "ask for fewer")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [0, -1, 1.5, None, True])
def test_no_problems_is_refused(name, n):
    with pytest.raises(TaskError) as error:
        get_task(name).problems("train", n, 0)
    _sentence(error, name, "problems")


# -- problems that cannot be ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        0,
        -3,
        1e9,
        10**9,
        "0",
        "-3",
        "1e9",
        "٣",
        "²",
        "",
        " 5",
        "5.0",
        5.0,
        None,
        True,
        [],
        {},
        float("nan"),
        float("inf"),
        10**5000,
        -(10**5000),
        "9" * 5000,
        "x" * 10**6,
        "\ud800",
    ],
    ids=range(24),  # the huge ones have no name of their own
)
@pytest.mark.parametrize("name", NAMES)
def test_bad_numbers_are_refused(name, number):
    with pytest.raises(TaskError) as error:
        get_task(name).problem({"numbers": [number, 5, 5, 13], "target": 24})
    _sentence(error, "whole number from 1")


@pytest.mark.parametrize("target", [-1, 1e9, 10**9, "٣", None, 2.5, [], "1e2"])
def test_bad_targets_are_refused(target):
    with pytest.raises(TaskError) as error:
        COUNTDOWN.problem({"numbers": [1, 2], "target": target})
    _sentence(error, "target")


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        "25 5 x",
        [],
        {},
        {"numbers": 5},
        {"numbers": "12"},
        {"numbers": [], "target": 1},
        {"numbers": [5], "target": 5},
        {"numbers": [1] * 7, "target": 5},
        {"numbers": [1] * 10**6, "target": 5},
        {"numbers": [[[[]]]] * 4, "target": 5},
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_problem(name, data):
    with pytest.raises(TaskError) as error:
        get_task(name).problem(data)
    _sentence(error)


@pytest.mark.parametrize(
    "data",
    [
        {"numbers": [4, 9, 10, 14]},
        {"numbers": [4, 9, 10]},
        {"numbers": [4, 9, 10, 13, 1]},
        {"numbers": [4, 9, 10, 13], "target": 25},
    ],
)
def test_what_is_no_puzzle_of_24(data):
    with pytest.raises(TaskError) as error:
        GAME24.problem(data)
    _sentence(error, "game24")


def test_problems_are_read_from_numbers_and_from_text():
    problem = COUNTDOWN.problem({"numbers": ["25", 5, "5", 33], "target": "27", "more": 1})
    assert problem == posed("countdown", (25, 5, 5, 33), 27)
    assert COUNTDOWN.problem(problem.data) == problem
    assert GAME24.problem({"numbers": [4, 9, 10, 13]}).data["target"] == 24
    assert len({problem, COUNTDOWN.problem(problem.data)}) == 1


def test_a_problem_is_typed_as_it_is_shown():
    problem = COUNTDOWN.problem("25, 5 5 33 -> 27")
    assert problem == posed("countdown", (25, 5, 5, 33), 27)
    assert problem.text == "25 5 5 33 -> 27"
    assert COUNTDOWN.problem(problem.text) == COUNTDOWN.problem("25 5 5 33 → 27") == problem
    assert GAME24.problem("3 3 8 8").text == "3 3 8 8 -> 24"
    for text in ("", "25 5", "a b -> 3", "1 2 -> 3 -> 4", "1 2 -> x"):
        with pytest.raises(TaskError) as error:
            COUNTDOWN.problem(text)
        _sentence(error)


def test_a_problem_survives_json_and_pickle():
    problem = COUNTDOWN.problem("25 5 5 33 -> 27")
    assert Problem(**json.loads(json.dumps(problem.as_dict()))) == problem
    assert pickle.loads(pickle.dumps(problem)) == problem


# -- prompts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_prompts_hold_the_problem_and_the_examples_are_right(name):
    task = get_task(name)
    problem = task.problem({"numbers": [3, 3, 8, 8], "target": 24})
    for dialect in ("zero_shot", "few_shot", "compact"):
        prompt = task.prompt(problem, dialect)
        assert "24" in prompt
        assert prompt.count("8") >= 2
        assert prompt.endswith("\n")
    few = task.prompt(problem, "few_shot").split("\n\n")
    assert len(few) > len(task.prompt(problem, "zero_shot").split("\n\n"))
    for shot in few[1:-1]:
        asked, _, text = shot.partition("\n")
        numbers, _, target = asked.removeprefix("Input: ").partition(", target ")
        example = task.problem({"numbers": numbers.split(), "target": target})
        assert task.verify(example, task.parse(example, text)).correct


@pytest.mark.parametrize("name", NAMES)
def test_an_example_never_gives_the_problem_asked_away(name):
    task = get_task(name)
    other = task.problem({"numbers": [1, 2, 3, 4], "target": 24})
    shots = task.prompt(other, "few_shot").split("\n\n")[1:-1]
    shown = shots[0].split("\n")[0]
    numbers, _, target = shown.removeprefix("Input: ").partition(", target ")
    problem = task.problem({"numbers": numbers.split()[::-1], "target": target})
    asked = task.prompt(problem, "few_shot")
    assert len(shots) > 4
    assert asked.endswith(f"\n\n{shown}\n")
    assert asked.count(shown) == 1
    assert "Answer: " in asked


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_as_large_as_the_problem(name):
    task = get_task(name)
    prompt = task.prompt(task.problem({"numbers": [1, 2, 3, 4], "target": 24}), "few_shot")
    asked = re.findall(r"Input: ([\d ]+), target", prompt)
    assert len(asked) > 5
    assert {len(numbers.split()) for numbers in asked} == {4}
