"""Tree of thoughts and RAP: what they search, what they choose, and what never matters to them."""

from __future__ import annotations

import json

import pytest

from ltf_lite.engines import Sampling, open_engine
from ltf_lite.reasoners import get_reasoner, path_to
from ltf_lite.tasks import Verdict, get_task
from ltf_lite.tasks.countdown import Countdown
from tests import tiny_models
from tests.fake_engine import FakeEngine, player

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
PROBLEMS = TASK.problems("validation", 12, 5)
SEARCHES = {
    "cot": ("cot", {"n": 3, "temperature": 1.0}),
    "tot": ("tot", {}),
    "tot, sampled steps": ("tot", {"expand": "sample"}),
    "tot, logprob": ("tot", {"value": "logprob"}),
    "tot, rollouts": ("tot", {"value": "rollout"}),
    "tot, depth first": ("tot", {"order": "depth"}),
    "rap": ("rap", {}),
    "rap, sampled steps": ("rap", {"expand": "sample", "iterations": 4}),
}


@pytest.fixture(params=SEARCHES, name="search")
def _search(request):
    name, settings = SEARCHES[request.param]
    return get_reasoner(name, **settings)


def engine(knows: float = 0.8) -> FakeEngine:
    return FakeEngine(player(TASK, knows))


def solved(solution, choice: str) -> bool:
    index = solution.choices[choice]
    return index is not None and solution.attempts[index].verdict.correct


def told(solution) -> dict:
    """A solution without its seconds, which no two runs share."""
    data = solution.as_dict()
    for part in (data, *data["tree"]):
        del part["seconds"]
    return data


# -- many problems at once ---------------------------------------------------------------------


def test_a_problem_s_result_does_not_depend_on_the_others(search):
    together = [told(s) for s in search.solve(PROBLEMS, TASK, engine(), 7)]
    alone = [told(next(iter(search.solve([p], TASK, engine(), 7)))) for p in PROBLEMS]
    assert together == alone
    backwards = [told(s) for s in search.solve(PROBLEMS[::-1], TASK, engine(), 7)]
    assert together == backwards[::-1]


def test_the_seed_matters(search):
    first, second = (
        [told(s) for s in search.solve(PROBLEMS, TASK, engine(), seed)] for seed in (1, 2)
    )
    assert first != second


@pytest.mark.parametrize("name", ["tot", "rap"])
def test_the_embedded_model_s_result_does_not_depend_on_the_batch(name):
    settings = {"samples": 1, "votes": 1, "temperature": 0.0}
    reasoner, model = get_reasoner(name, **settings), open_engine("tiny-base")
    together = list(reasoner.solve(PROBLEMS, TASK, model, 0))
    for problem, solution in zip(PROBLEMS[:4], together, strict=False):
        (alone,) = reasoner.solve([problem], TASK, model, 0)
        assert [n.text for n in alone.tree] == [n.text for n in solution.tree]
        assert [n.visits for n in alone.tree] == [n.visits for n in solution.tree]
        assert alone.choices == solution.choices


def test_tot_asks_once_to_expand_and_once_to_value_a_level_for_all_problems():
    for problems in (PROBLEMS[:1], PROBLEMS):
        asked = engine()
        list(get_reasoner("tot").solve(problems, TASK, asked, 0))
        assert len(asked.asked) == 2 * 3  # three levels of four numbers


def test_what_a_search_costs_is_what_the_engine_did(search):
    asked = engine()
    solutions = list(search.solve(PROBLEMS, TASK, asked, 0))
    assert sum(s.tokens for s in solutions) == asked.usage.tokens_out
    assert sum(s.seconds for s in solutions) == pytest.approx(asked.usage.seconds, rel=0.5)


# -- the tree ----------------------------------------------------------------------------------


def test_the_tree_can_be_replayed(search):
    for solution in search.solve(PROBLEMS, TASK, engine(), 0):
        root, *rest = solution.tree
        assert root.parent is None
        assert root.state == TASK.start(solution.problem)
        for index, node in enumerate(rest, 1):
            assert 0 <= node.parent < index
            before = solution.tree[node.parent].state
            assert node.state == TASK.legal(before, TASK.step(node.text))
        for attempt in solution.attempts:
            lines = [solution.tree[k].text for k in path_to(solution.tree, attempt.node)]
            assert attempt.text.split() == lines
            assert attempt.verdict == solution.tree[attempt.node].verdict
            assert attempt.verdict == TASK.verify(solution.problem, attempt.path)
        json.dumps(solution.as_dict())


def test_the_tree_is_watched_while_it_grows():
    sizes = []
    reasoner = get_reasoner("rap")
    (solution,) = reasoner.solve(
        PROBLEMS[:1], TASK, engine(), 0, lambda _, tree: sizes.append(len(tree))
    )
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == len(solution.tree)


# -- what is chosen ----------------------------------------------------------------------------


class Pessimist(Countdown):
    """The same game with a verifier that finds everything wrong."""

    def verify(self, problem, path):
        return Verdict(False, "wrong_answer", 0, "wrong")


def test_the_verifier_has_no_say_in_the_choice(search):
    other = Pessimist(numbers=(1, 50), max_intermediate=999)
    fair = [s.choices for s in search.solve(PROBLEMS, TASK, engine(), 0)]
    blind = [s.choices for s in search.solve(PROBLEMS, other, engine(), 0)]
    assert fair == blind


@pytest.mark.parametrize("name", ["tot", "rap"])
def test_an_oracle_chooses_a_right_path_and_is_named_so(name):
    settings = {"votes": 1, "beam": 20} if name == "tot" else {"votes": 1}
    plain, oracle = (get_reasoner(name, **settings, oracle=o) for o in (False, True))
    without = sum(solved(s, name) for s in plain.solve(PROBLEMS, TASK, engine(0.6), 0))
    solutions = list(oracle.solve(PROBLEMS, TASK, engine(0.6), 0))
    for solution in solutions:
        assert set(solution.choices) == {f"oracle {name}", "oracle"}
        found = any(a.verdict.correct for a in solution.attempts)
        assert solved(solution, f"oracle {name}") == found
    assert sum(solved(s, f"oracle {name}") for s in solutions) > without


@pytest.mark.parametrize(("name", "settings"), [("tot", {"beam": 8}), ("rap", {"iterations": 40})])
def test_good_judgement_finds_what_bad_judgement_misses(name, settings):
    reasoner = get_reasoner(name, votes=1, samples=4, **settings)
    good, bad = (
        sum(solved(s, name) for s in reasoner.solve(PROBLEMS, TASK, engine(knows), 0))
        for knows in (1.0, 0.0)
    )
    assert good >= 0.7 * len(PROBLEMS)
    assert bad <= 0.2 * len(PROBLEMS)


def test_the_beam_keeps_the_best_and_no_state_twice():
    for solution in get_reasoner("tot", beam=2).solve(PROBLEMS, TASK, engine(), 0):
        tree = solution.tree
        first = [node for node in tree if node.parent == 0]
        kept = [node for node in first if node.visits]
        assert len(kept) <= 2
        assert len({node.state for node in kept}) == len(kept)
        assert min(n.value for n in kept) >= max(
            (n.value for n in first if not n.visits), default=0
        )
        expanded = {node.parent for node in tree if node.parent}
        assert all(tree[k].visits for k in expanded)


def test_depth_first_leaves_out_what_is_under_the_threshold_and_stops_at_an_answer():
    settings = {"order": "depth", "votes": 1, "samples": 6, "expansions": 60}
    for solution in get_reasoner("tot", **settings).solve(PROBLEMS, TASK, engine(1.0), 0):
        tree = solution.tree
        for node in tree:
            assert node.parent in (0, None) or tree[node.parent].value >= 0.01
        right = [node for node in tree if node.verdict and node.verdict.correct]
        if right:
            # the siblings of the first answer are the last nodes of the tree
            assert {n.parent for n in tree[tree.index(right[0]) :]} == {right[0].parent}


def test_rap_counts_its_visits_and_explores_more_with_a_larger_weight():
    iterations, spread = 30, []
    for weight in (0.0, 5.0):
        reasoner = get_reasoner("rap", iterations=iterations, exploration=weight)
        solutions = list(reasoner.solve(PROBLEMS, TASK, engine(), 0))
        for solution in solutions:
            tree = solution.tree
            assert tree[0].visits == iterations
            for index, node in enumerate(tree[1:], 1):
                below = sum(n.visits for n in tree if n.parent == index)
                assert below <= node.visits
            assert sum(n.visits for n in tree if n.parent == 0) == iterations
        spread.append(sum(sum(n.visits > 0 for n in s.tree if n.parent == 0) for s in solutions))
    assert spread[0] < spread[1]


def test_rap_s_depth_is_a_limit():
    for solution in get_reasoner("rap", depth=1).solve(PROBLEMS, TASK, engine(), 0):
        assert max(len(path_to(solution.tree, k)) for k in range(len(solution.tree))) == 1
        assert solution.choices["rap"] is None


# -- transitions -------------------------------------------------------------------------------


def wrong_sums(prompt: str, rng) -> str:
    """Proposes one step, with a sum that is one too large; judges everything sure."""
    if prompt.endswith("!\n"):
        return "sure"
    a, b, *rest = prompt.split(":")[1].rstrip("?\n").split(",")
    total = int(a) + int(b) + 1
    return f"{a}+{b}={','.join([str(total), *rest])}\n"


def test_checked_stops_at_a_wrong_step_and_faithful_believes_it():
    problem = TASK.problem({"numbers": [25, 5, 5, 33], "target": 27})
    checked, faithful = (
        next(iter(get_reasoner("tot", samples=1, transitions=t).solve(
            [problem], TASK, FakeEngine(wrong_sums), 0)))
        for t in ("checked", "faithful")
    )  # fmt: skip
    assert [n.text for n in checked.tree] == ["", "33+25=59,5,5"]
    assert checked.choices["tot"] is None
    assert [n.text for n in faithful.tree] == ["", "33+25=59,5,5", "59+5=65,5", "65+5=71"]
    assert faithful.choices["tot"] == 0
    for solution in (checked, faithful):
        assert [a.verdict.kind for a in solution.attempts] == ["arithmetic"]
        assert solution.attempts[0].verdict.fatal_step == 0


@pytest.mark.parametrize("transitions", ["checked", "faithful"])
@pytest.mark.parametrize("expand", ["propose", "sample"])
@pytest.mark.parametrize("name", ["tot", "rap"])
def test_garbage_gives_failed_paths_of_kind_format(name, expand, transitions):
    def garbage(prompt, rng):
        return "".join(rng.choice("0123456789+-*/=,.(): \nabcÄ²٣") for _ in range(60))

    reasoner = get_reasoner(name, expand=expand, transitions=transitions)
    for solution in reasoner.solve(PROBLEMS, TASK, FakeEngine(garbage), 0):
        assert solution.choices[name] is None
        kinds = [a.verdict.kind for a in solution.attempts if a.text.strip()]
        assert set(kinds) == {"format"}


@pytest.mark.parametrize("style", ["compact", "few_shot"])
def test_a_model_with_random_weights_fails_in_good_order(tmp_path, style):
    folder = tiny_models.llama(tmp_path / "random", max_position_embeddings=2048)
    model = open_engine(folder, style=style)
    kinds = set()
    for name, settings in (*SEARCHES.values(), ("tot", {"transitions": "faithful"})):
        reasoner = get_reasoner(name, **settings, max_tokens=24)
        for solution in reasoner.solve(PROBLEMS[:2], TASK, model, 0):
            kinds |= {attempt.verdict.kind for attempt in solution.attempts}
            json.dumps(solution.as_dict())
    assert kinds <= {"format", "incomplete"}  # incomplete: nothing but blanks was written
    assert "format" in kinds


# -- budget ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 60, 400])
def test_a_budget_is_never_passed(tokens):
    for name, settings in SEARCHES.values():
        reasoner = get_reasoner(name, **settings, budget=tokens)
        for solution in reasoner.solve(PROBLEMS, TASK, engine(), 0):
            assert solution.tokens <= tokens
            json.dumps(solution.as_dict())


def test_samples_are_drawn_while_they_fit():
    reasoner = get_reasoner("cot", n=1024, temperature=1.0, budget=200)
    unlimited = get_reasoner("cot", n=20, temperature=1.0)
    longest = max(a.tokens for s in unlimited.solve(PROBLEMS, TASK, engine(), 0)
                  for a in s.attempts)  # fmt: skip
    for solution in reasoner.solve(PROBLEMS, TASK, engine(), 0):
        assert 200 - longest < sum(a.tokens for a in solution.attempts) <= 200
        assert solution.tokens == 200  # what the last one got no further with was generated as well
        assert "best-of-n@200 tokens" in solution.choices


def test_a_greedy_chain_that_does_not_fit_is_no_answer():
    (solution,) = get_reasoner("cot", budget=5).solve(PROBLEMS[:1], TASK, engine(), 0)
    assert solution.choices == {"greedy": None} or solution.attempts[0].tokens <= 5


# -- the fake is a fair stand-in ---------------------------------------------------------------


def test_the_fake_engine_is_deterministic_and_seeded():
    prompts = [TASK.prompt(p, "compact") for p in PROBLEMS]
    sampling = Sampling(n=2, temperature=1.0, seed=3)
    assert engine().generate(prompts, sampling) == engine().generate(prompts, sampling)
    assert engine().generate(prompts, sampling, [1] * 12) != engine().generate(
        prompts, sampling, [2] * 12
    )
