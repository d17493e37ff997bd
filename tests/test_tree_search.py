"""Tree of thoughts and RAP: what they search, what they choose, and what never matters to them."""

from __future__ import annotations

import itertools
import json

import pytest

from ltf_lite.engines import Dialect, Sampling, open_engine
from ltf_lite.reasoners import get_reasoner, path_to, solve, solve_within
from ltf_lite.reasoners.choice import SINGLE_PASS
from ltf_lite.tasks import Verdict, get_task
from ltf_lite.tasks.numbers.countdown import Countdown
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


def solved(solution, choice: str = "search") -> bool:
    attempt = solution.chosen(choice)
    return attempt is not None and attempt.verdict.correct


def told(solution) -> dict:
    """A solution without its seconds, which no two runs share."""
    data = solution.as_dict()
    for part in (data, *data["tree"]):
        del part["seconds"]
    return data


# -- many problems at once ---------------------------------------------------------------------


def test_a_problem_s_result_does_not_depend_on_the_others(search):
    together = [told(s) for s in solve(search, PROBLEMS, TASK, engine(), 7)]
    alone = [told(next(iter(solve(search, [p], TASK, engine(), 7)))) for p in PROBLEMS]
    assert together == alone
    backwards = [told(s) for s in solve(search, PROBLEMS[::-1], TASK, engine(), 7)]
    assert together == backwards[::-1]


def test_the_seed_matters(search):
    first, second = (
        [told(s) for s in solve(search, PROBLEMS, TASK, engine(), seed)] for seed in (1, 2)
    )
    assert first != second


@pytest.mark.parametrize("name", ["tot", "rap"])
@pytest.mark.slow
def test_the_embedded_model_s_result_does_not_depend_on_the_batch(name):
    settings = {"samples": 1, "votes": 1, "temperature": 0.0}
    reasoner, model = get_reasoner(name, **settings), open_engine("tiny-base")
    together = list(solve(reasoner, PROBLEMS, TASK, model, 0))
    for problem, solution in zip(PROBLEMS[:4], together, strict=False):
        (alone,) = solve(reasoner, [problem], TASK, model, 0)
        assert [n.text for n in alone.tree] == [n.text for n in solution.tree]
        assert [n.visits for n in alone.tree] == [n.visits for n in solution.tree]
        assert alone.choices == solution.choices


def test_tot_asks_once_to_expand_and_once_to_value_a_level_for_all_problems():
    for problems in (PROBLEMS[:1], PROBLEMS):
        asked = engine()
        list(solve(get_reasoner("tot"), problems, TASK, asked, 0))
        assert len(asked.asked) == 2 * 3  # three levels of four numbers


def test_what_a_search_costs_is_what_the_engine_did(search):
    asked = engine()
    solutions = list(solve(search, PROBLEMS, TASK, asked, 0))
    assert sum(s.tokens for s in solutions) == asked.usage.tokens_out
    assert sum(s.seconds for s in solutions) == pytest.approx(asked.usage.seconds, rel=0.5)


# -- the tree ----------------------------------------------------------------------------------


def test_the_tree_can_be_replayed(search):
    for solution in solve(search, PROBLEMS, TASK, engine(), 0):
        root, *rest = solution.tree
        assert root.parent is None
        assert root.state == TASK.start(solution.problem)
        for index, node in enumerate(rest, 1):
            assert 0 <= node.parent < index
            before = solution.tree[node.parent].state
            taken = TASK.take(solution.problem, before, node.text, "compact", True)
            assert taken is None if node.state is None else node.state == taken.state
        for attempt in solution.attempts:
            lines = [solution.tree[k].text for k in path_to(solution.tree, attempt.node)]
            assert attempt.text.split() == lines
            assert attempt.verdict == solution.tree[attempt.node].verdict
            assert attempt.verdict == TASK.verify(
                solution.problem, TASK.parse(solution.problem, attempt.text)
            )
        json.dumps(solution.as_dict())


def test_the_tree_is_watched_while_it_grows():
    sizes = []
    reasoner = get_reasoner("rap")
    (solution,) = solve(
        reasoner, PROBLEMS[:1], TASK, engine(), 0, lambda _, tree: sizes.append(len(tree))
    )
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == len(solution.tree)


# -- what is chosen ----------------------------------------------------------------------------


class Pessimist(Countdown):
    """The same game with a verifier that finds everything wrong."""

    def verify(self, problem, path):
        return Verdict(False, "wrong_answer", 0, "wrong")


@pytest.mark.slow
def test_the_verifier_has_no_say_in_the_choice(search):
    other = Pessimist(numbers=(1, 50), max_intermediate=999)
    fair = [s.choices for s in solve(search, PROBLEMS, TASK, engine(), 0)]
    blind = [s.choices for s in solve(search, PROBLEMS, other, engine(), 0)]
    assert fair == blind


@pytest.mark.parametrize("name", ["tot", "rap"])
def test_an_oracle_chooses_a_right_path_and_is_named_so(name):
    settings = {"votes": 1, "beam": 20} if name == "tot" else {"votes": 1}
    plain, oracle = (get_reasoner(name, **settings, oracle=o) for o in (False, True))
    without = sum(solved(s) for s in solve(plain, PROBLEMS, TASK, engine(0.6), 0))
    solutions = list(solve(oracle, PROBLEMS, TASK, engine(0.6), 0))
    for solution in solutions:
        assert [(c.kind, c.picker) for c in solution.choices] == [
            ("search", "verifier"),
            ("oracle", "verifier"),
        ]
        assert not any(choice.is_search for choice in solution.choices)
        found = any(a.verdict.correct for a in solution.attempts)
        assert solved(solution) == found
    assert sum(solved(s) for s in solutions) > without


@pytest.mark.parametrize(("name", "settings"), [("tot", {"beam": 8}), ("rap", {"iterations": 40})])
def test_good_judgement_finds_what_bad_judgement_misses(name, settings):
    reasoner = get_reasoner(name, votes=1, samples=4, **settings)
    good, bad = (
        sum(solved(s) for s in solve(reasoner, PROBLEMS, TASK, engine(knows), 0))
        for knows in (1.0, 0.0)
    )
    assert good >= 0.7 * len(PROBLEMS)
    assert bad <= 0.2 * len(PROBLEMS)


def test_the_beam_keeps_the_best_and_no_state_twice():
    for solution in solve(get_reasoner("tot", beam=2), PROBLEMS, TASK, engine(), 0):
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
    for solution in solve(get_reasoner("tot", **settings), PROBLEMS, TASK, engine(1.0), 0):
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
        solutions = list(solve(reasoner, PROBLEMS, TASK, engine(), 0))
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
    for solution in solve(get_reasoner("rap", depth=1), PROBLEMS, TASK, engine(), 0):
        assert max(len(path_to(solution.tree, k)) for k in range(len(solution.tree))) == 1
        assert solution.chosen("search") is None


def test_depth_first_goes_on_from_each_state_once():
    def judge(prompt, rng):
        return "likely" if prompt.endswith("!\n") else player(TASK)(prompt, rng)

    reasoner = get_reasoner("tot", order="depth", votes=1, samples=6, expansions=60)
    met_again = 0
    for solution in solve(reasoner, PROBLEMS, TASK, FakeEngine(judge)):
        tree = solution.tree
        gone_on = [tree[k].state for k in {node.parent for node in tree if node.parent}]
        assert len(set(gone_on)) == len(gone_on)
        states = [node.state for node in tree if node.state and len(node.state) > 1]
        met_again += len(states) - len(set(states))
    assert met_again  # else nothing was tried twice in the first place


@pytest.mark.parametrize(("votes", "ends"), [(("sure", "likely"), True), (("likely",), False)])
def test_depth_first_ends_at_an_answer_that_most_votes_are_sure_of(votes, ends):
    turn = itertools.cycle(votes)

    def write(prompt, rng):
        if prompt.endswith("!\n"):
            return next(turn) if "," not in prompt else "likely"
        return player(TASK)(prompt, rng)

    reasoner = get_reasoner("tot", order="depth", votes=2, samples=1, threshold=0.0)
    asked = FakeEngine(write)
    (solution,) = solve(reasoner, PROBLEMS[:1], TASK, asked)
    deepest = max(len(path_to(solution.tree, k)) for k in range(len(solution.tree)))
    assert deepest == 3
    # three levels, each one proposal call and one call that judges
    assert (len(asked.asked) == 6) == ends


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
        next(
            iter(
                solve(
                    get_reasoner("tot", samples=1, transitions=t),
                    [problem],
                    TASK,
                    FakeEngine(wrong_sums),
                    0,
                )
            )
        )
        for t in ("checked", "faithful")
    )
    assert [n.text for n in checked.tree] == ["", "33+25=59,5,5"]
    assert checked.chosen("search") is None
    assert [n.text for n in faithful.tree] == ["", "33+25=59,5,5", "59+5=65,5", "65+5=71"]
    assert faithful.chosen("search") is faithful.attempts[0]
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
    for solution in solve(reasoner, PROBLEMS, TASK, FakeEngine(garbage), 0):
        assert solution.chosen("search") is None
        kinds = [a.verdict.kind for a in solution.attempts if a.text.strip()]
        assert set(kinds) == {"format"}


@pytest.mark.parametrize("dialect", ["compact", "few_shot"])
def test_a_model_with_random_weights_fails_in_good_order(tmp_path, dialect):
    folder = tiny_models.llama(tmp_path / "random", max_position_embeddings=2048)
    model = open_engine(folder, Dialect(dialect))
    kinds = set()
    for name, settings in (*SEARCHES.values(), ("tot", {"transitions": "faithful"})):
        reasoner = get_reasoner(name, **settings, max_tokens=24)
        for solution in solve(reasoner, PROBLEMS[:2], TASK, model, 0):
            kinds |= {attempt.verdict.kind for attempt in solution.attempts}
            json.dumps(solution.as_dict())
    assert kinds <= {"format", "incomplete"}  # incomplete: nothing but blanks was written
    assert "format" in kinds


# -- budget ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 60, 400])
def test_a_budget_is_never_passed(tokens):
    for name, settings in SEARCHES.values():
        reasoner = get_reasoner(name, **settings, budget={"tokens": tokens})
        for solution in solve(reasoner, PROBLEMS, TASK, engine(), 0):
            assert solution.tokens <= tokens
            json.dumps(solution.as_dict())


def test_a_chain_is_never_asked_for_more_than_its_budget():
    asked = engine()
    most = []
    generate = asked.generate

    def watched(prompts, sampling, seeds=None):
        most.append(sampling.max_tokens)
        return generate(prompts, sampling, seeds)

    asked.generate = watched
    for tokens in (5, 10_000):
        list(solve(get_reasoner("cot", budget={"tokens": tokens}), PROBLEMS[:2], TASK, asked))
    room = TASK.room(PROBLEMS[0], "compact")
    assert most == [5, room]


@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "cot"])
def test_one_search_tells_what_each_budget_would_have_brought(name):
    """At each budget the trees, the answers and the tokens of a search that has no more."""
    kind, settings = SEARCHES[name]
    budgets = [1, 60, 400, 100_000]
    whole, sooner = solve_within(
        get_reasoner(kind, **settings), PROBLEMS, TASK, engine(), 3, budgets
    )
    free = list(solve(get_reasoner(kind, **settings), PROBLEMS, TASK, engine(), 3))
    assert [told(each) for each in whole] == [told(each) for each in free]
    for tokens in budgets:
        reasoner = get_reasoner(kind, **settings, budget={"tokens": tokens})
        alone = list(solve(reasoner, PROBLEMS, TASK, engine(), 3))
        assert [told(each) for each in sooner[tokens]] == [told(each) for each in alone]


def test_what_passes_a_budget_is_not_used():
    reasoner = get_reasoner("tot", budget={"tokens": 60})
    free = list(solve(get_reasoner("tot"), PROBLEMS, TASK, engine()))
    cut = list(solve(reasoner, PROBLEMS, TASK, engine()))
    assert all(len(one.tree) < len(other.tree) for one, other in zip(cut, free, strict=True))
    assert all(not solution.attempts for solution in cut)  # a level costs more


def test_samples_are_drawn_while_they_fit():
    reasoner = get_reasoner("cot", n=1024, temperature=1.0, budget={"tokens": 200})
    unlimited = get_reasoner("cot", n=20, temperature=1.0)
    longest = max(
        a.tokens for s in solve(unlimited, PROBLEMS, TASK, engine(), 0) for a in s.attempts
    )
    for solution in solve(reasoner, PROBLEMS, TASK, engine(), 0):
        assert 200 - longest < sum(a.tokens for a in solution.attempts) <= 200
        assert solution.tokens == 200  # what the last one got no further with was generated as well
        assert ("best_of_n", 200) in {(c.kind, c.tokens) for c in solution.choices}


def test_a_greedy_chain_that_does_not_fit_is_no_answer():
    (solution,) = solve(get_reasoner("cot", budget={"tokens": 5}), PROBLEMS[:1], TASK, engine(), 0)
    assert solution.choices == {SINGLE_PASS: None} or solution.attempts[0].tokens <= 5


# -- the fake is a fair stand-in ---------------------------------------------------------------


def test_the_fake_engine_is_deterministic_and_seeded():
    prompts = [TASK.prompt(p, "compact") for p in PROBLEMS]
    sampling = Sampling(n=2, temperature=1.0, seed=3)
    assert engine().generate(prompts, sampling) == engine().generate(prompts, sampling)
    assert engine().generate(prompts, sampling, [1] * 12) != engine().generate(
        prompts, sampling, [2] * 12
    )
