"""Search beside what people use for it: `python tests/benchmarks/peers.py [--chat FILE.gguf]`.

An environment of its own has ltf_lite and the peers: `pip install -e . llm-reasoners optillm`.

llm-reasoners: its `BeamSearch` over the embedded base with its own `HFModel`, and our `tot`: the
same problems, questions, beam, samples and votes. It asks one prompt after the other.

optillm, where `--chat` names a chat model in GGUF (that of `ltf train smollm2-chat`): its
`best_of_n_sampling` and `chat_with_mcts` over llama-cpp-python's own server, and beside them our
best-of-n and tree of thoughts on the same file, as many tokens a problem or fewer. That server
ignores `n`, which optillm needs, so `n` calls are made of one.

Problems a second and success by turns, medians with the smallest and the largest; one thread; peers
get fewer problems. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median
from types import SimpleNamespace
from typing import Any, NamedTuple

from ltf_lite.core.threads import wait_briefly

os.environ["OMP_NUM_THREADS"] = "1"  # llama.cpp's too: the server is given one thread
wait_briefly()

import torch

from ltf_lite import presets
from ltf_lite.engines import Dialect, Engine, model_path, open_engine
from ltf_lite.evaluation.success import rate_of
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import Problem, Task, get_task
from ltf_lite.tasks.steps import prompts_of, steps_of

BEAM, SAMPLES, VOTES, HEAT, ROOM = 5, 3, 3, 0.7, 40
TOT = {
    "name": "tot", "beam": BEAM, "samples": SAMPLES, "votes": VOTES, "temperature": HEAT,
    "max_tokens": ROOM,
}  # fmt: skip
COUNTDOWN = get_task("countdown", numbers=(1, 50), max_intermediate=999, draw="walk")
COMPACT = "compact"


class Turn(NamedTuple):
    """One turn over some problems."""

    solved: int
    n: int
    tokens: int
    seconds: float


# -- ours ------------------------------------------------------------------------------------------


def ours(engine: Engine, task: Task, problems: Sequence[Problem], kind: str, name: str, **settings):
    """Our search, the answer taken by a kind of choice."""
    reasoner = get_reasoner(name, **settings)

    def turn(seed: int) -> Turn:
        engine.clear()
        began = time.perf_counter()
        found = list(solve(reasoner, problems, task, engine, seed))
        took = time.perf_counter() - began
        chosen = [each.chosen(kind) for each in found]
        solved = sum(one is not None and one.verdict.correct for one in chosen)
        return Turn(solved, len(problems), sum(each.tokens for each in found), took)

    return turn


# -- llm-reasoners ---------------------------------------------------------------------------------


def llm_reasoners(problems: Sequence[Problem]) -> Callable[[int], Turn]:
    """Its beam search, asking and judging in our task's words."""
    from reasoners import SearchConfig, WorldModel
    from reasoners.algorithm import BeamSearch
    from reasoners.lm.hf_model import HFModel

    folder = model_path("tiny-base")
    model = HFModel(folder, folder, device="cpu", max_batch_size=SAMPLES)
    steps, prompts = steps_of(COUNTDOWN), prompts_of(COUNTDOWN)
    spent = [0]

    def ask(prompt: str) -> list[str]:
        found = model.generate(
            [prompt],
            num_return_sequences=SAMPLES,
            do_sample=True,
            temperature=HEAT,
            top_k=0,
            max_new_tokens=ROOM,
        ).text
        told = model.tokenizer(found, add_special_tokens=False)["input_ids"]
        spent[0] += sum(map(len, told)) + len(found)
        return found

    class World(WorldModel):
        def init_state(self):
            return (), steps.start(self.example)

        def step(self, state, action):
            lines, before = state
            taken = steps.take(self.example, before, action, COMPACT, True)
            return ((*lines, taken.text), taken.state), {}

        def is_terminal(self, state):
            return steps.finished(self.example, state[1])

    class Config(SearchConfig):
        def update_example(self, example, prompt=None):
            super().update_example(example, prompt)
            self.judged = {}

        def get_actions(self, state):
            texts = ask(prompts.propose(self.example, state[1], COMPACT))
            found = {}
            for line in (line.strip() for text in texts for line in text.splitlines()):
                taken = steps.take(self.example, state[1], line, COMPACT, True) if line else None
                if taken:
                    found.setdefault(taken.key, taken.text)
            return list(found.values())

        def reward(self, state, action, **_):
            taken = steps.take(self.example, state[1], action, COMPACT, True)
            ended = steps.finished(self.example, taken.state)
            lines = [*state[0], taken.text] if ended else []
            question = prompts.judge(self.example, taken.state, lines, COMPACT)
            if question not in self.judged:
                values = [prompts.read_value(text) or 0.0 for text in ask(question)]
                self.judged[question] = fmean(values)
            return self.judged[question], {}

    world, config = World(), Config()

    def turn(seed: int) -> Turn:
        torch.manual_seed(seed)
        spent[0], solved, began = 0, 0, time.perf_counter()
        for problem in problems:
            world.update_example(problem)
            config.update_example(problem)
            search = BeamSearch(beam_size=BEAM, max_depth=steps.longest(problem))
            best = search(world, config).terminal_state
            text = steps.joined(list(best[0]), COMPACT, True) if best else ""
            solved += COUNTDOWN.verify(problem, COUNTDOWN.parse(problem, text)).correct
        return Turn(solved, len(problems), spent[0], time.perf_counter() - began)

    return turn


# -- optillm ---------------------------------------------------------------------------------------


class Manifold:
    """An OpenAI client whose completions heed `n`, which the server does not."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, n: int = 1, **request: Any) -> Any:
        found = [self.client.chat.completions.create(**request) for _ in range(n)]
        first = found[0]
        first.choices = [each.choices[0] for each in found]
        first.usage.completion_tokens = sum(each.usage.completion_tokens for each in found)
        return first


def optillm(which: str, port: int, task: Task, system: str, problems: Sequence[Problem]):
    """Its best-of-n of three, or its Monte-Carlo tree search, as it comes."""
    from openai import OpenAI
    from optillm.bon import best_of_n_sampling
    from optillm.mcts import chat_with_mcts

    client = Manifold(OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none"))
    told = {"max_tokens": ROOM + 8}
    work = best_of_n_sampling if which == "bon" else chat_with_mcts

    def turn(seed: int) -> Turn:
        spent, solved, began = 0, 0, time.perf_counter()
        for problem in problems:
            question = str(task.prompt(problem, "chat")).strip()
            text, tokens = work(system, question, client, "base", request_config=told)
            spent += tokens
            solved += task.verify(problem, task.parse(problem, text)).correct
        return Turn(solved, len(problems), spent, time.perf_counter() - began)

    return turn


# -- by turns --------------------------------------------------------------------------------------


def compare(title: str, sides: dict[str, Callable[[int], Turn]], runs: int) -> None:
    told: dict[str, list[Turn]] = {name: [] for name in sides}
    for run in range(runs):
        for name, turn in sides.items():
            told[name].append(turn(run))
    print(f"\n{title}; {runs} alternating runs")
    for name, found in told.items():
        speeds = [each.n / each.seconds for each in found]
        rate = rate_of(sum(each.solved for each in found), sum(each.n for each in found))
        tokens = sum(each.tokens for each in found) / rate.n
        print(
            f"  {name:32} {median(speeds):8.2f} problems/s ({min(speeds):.2f}, {max(speeds):.2f})"
            f"  {100 * rate.rate:5.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
            f" of {rate.n}  {tokens:6.0f} tokens a problem",
            flush=True,
        )


def chat(file: Path, runs: int, few: int, many: int) -> None:
    from tests.llama_server import free_port, serving

    preset = presets.load("smollm2-chat")
    task: Task = preset.task
    problems = task.problems("test", many, 1)
    system = preset.system or ""
    port = free_port()
    engine = open_engine(file)
    with serving(file, port, context=1024):
        sides = {
            "optillm best-of-3": optillm("bon", port, task, system, problems[:few]),
            "ltf best of 3 by likelihood": ours(
                engine, task, problems, "best_of_n", "cot", n=3, temperature=1.0
            ),
            "optillm mcts": optillm("mcts", port, task, system, problems[:few]),
            "ltf tree of thoughts": ours(
                engine,
                task,
                problems,
                "search",
                "tot",
                beam=2,
                samples=2,
                votes=2,
                expand="sample",
                value="consistency",
            ),
        }
        compare(f"{file.name}, sums of three terms", sides, runs)
    engine.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--few", type=int, default=10, help="problems of a peer")
    parser.add_argument("--many", type=int, default=100, help="problems of ours")
    parser.add_argument("--chat", type=Path, metavar="FILE.gguf")
    args = parser.parse_args()
    torch.set_num_threads(1)
    problems = COUNTDOWN.problems("test", args.many, 1)
    with_base = open_engine(model_path("tiny-base"), Dialect(COMPACT))
    sides = {
        "llm-reasoners BeamSearch": llm_reasoners(problems[: args.few]),
        "ltf tot, one problem at a time": one_by_one(with_base, problems[: args.few]),
        "ltf tot": ours(with_base, COUNTDOWN, problems, "search", **TOT),
    }
    compare("The embedded base, Countdown with four numbers", sides, args.runs)
    with_base.close()
    if args.chat:
        chat(args.chat, args.runs, args.few, args.many)
    return 0


def one_by_one(engine: Engine, problems: Sequence[Problem]) -> Callable[[int], Turn]:
    """Our search without what many problems at once bring."""
    alone = [ours(engine, COUNTDOWN, [problem], "search", **TOT) for problem in problems]

    def turn(seed: int) -> Turn:
        found = [each(seed) for each in alone]
        sums = (sum(column) for column in zip(*found, strict=True))
        return Turn(*sums)  # type: ignore[arg-type]

    return turn


if __name__ == "__main__":
    raise SystemExit(main())
