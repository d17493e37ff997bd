"""Tree search in lock step against the same search a problem at a time through `generate`.

`python tests/benchmarks/tree_speed.py [--runs 3] [--problems 200]`: problems a second of `tot` and
`rap` on the embedded base. The peers are the very same algorithm and settings, one problem after
the other and every score a forward pass: at batch one, each sample a call of transformers'
`generate`; and with the samples of a prompt together, as `num_return_sequences`. Medians of
alternating runs, smallest and largest; nothing here passes or fails. The peers are slow, so they
get the first `--peer` problems.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import median

from ltf_lite.core.threads import wait_briefly

wait_briefly()

import torch

from ltf_lite.engines import Completion, Dialect, Sampling, Score, Usage, cut, open_engine
from ltf_lite.reasoners import Solution, get_reasoner, solve
from ltf_lite.tasks import get_task

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
SEARCHES = {"tot": {"max_tokens": 40}, "rap": {"max_tokens": 40}}


class OneByOne:
    """An engine that asks `generate` for one prompt at a time, or for one sample at a time."""

    name, dialect = "generate", Dialect("compact")

    def __init__(self, model, tokenizer, together: bool) -> None:
        self.model, self.tokenizer, self.usage = model, tokenizer, Usage()
        self.together = together

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[Completion]]:
        each = sampling.n if self.together else 1
        settings = {"max_new_tokens": sampling.max_tokens, "num_return_sequences": each}
        ends = [self.tokenizer.eos_token_id]
        if sampling.stop == ("\n",):
            ends += self.tokenizer("\n", add_special_tokens=False)["input_ids"]
        settings["eos_token_id"] = ends
        if sampling.temperature:
            settings |= {"do_sample": True, "temperature": sampling.temperature, "top_k": 0}
        found = []
        for prompt in prompts:
            inputs = self.tokenizer(prompt, return_tensors="pt")
            tails = []
            for _ in range(sampling.n // each):
                out = self.model.generate(**inputs, **settings)
                tails += out[:, inputs["input_ids"].shape[1] :].tolist()
            found.append([self._completion(tail, ends, sampling) for tail in tails])
        self.usage.tokens_out += sum(c.tokens for row in found for c in row)
        return found

    def _completion(self, tail: list[int], ends: list[int], sampling: Sampling) -> Completion:
        last = next((k for k, token in enumerate(tail) if token in ends), None)
        tail = tail if last is None else tail[: last + 1]
        whole = self.tokenizer.decode(tail, skip_special_tokens=True)
        text, beyond = cut(whole, sampling.stop)
        return Completion(text, len(tail), 0.0, last is not None, beyond)

    @torch.inference_mode()
    def score(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        found = []
        for prompt, tail in zip(prompts, continuations, strict=True):
            head = self.tokenizer(prompt)["input_ids"]
            own = self.tokenizer(tail, add_special_tokens=False)["input_ids"]
            logits = self.model(torch.tensor([head + own])).logits[0, len(head) - 1 : -1]
            picked = logits.log_softmax(1).gather(1, torch.tensor(own)[:, None])
            found.append(Score(float(picked.sum()), len(own)))
        return found

    def close(self) -> None: ...


def solved(solutions: list[Solution]) -> float:
    chosen = [solution.chosen("search") for solution in solutions]
    return sum(attempt is not None and attempt.verdict.correct for attempt in chosen) / len(chosen)


def measure(reasoner, engine, problems, together: bool, seed: int) -> tuple[float, str]:
    """Problems a second, and what was found."""
    torch.manual_seed(seed)
    began = time.perf_counter()
    lots = [problems] if together else [[problem] for problem in problems]
    found = [s for lot in lots for s in solve(reasoner, lot, TASK, engine, seed)]
    speed = len(problems) / (time.perf_counter() - began)
    tokens = sum(s.tokens for s in found) / len(found)
    return (
        speed,
        f"{tokens:.0f} tokens a problem, {100 * solved(found):.0f} % solved",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--peer", type=int, default=20, help="problems each peer is given")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    problems = TASK.problems("validation", args.problems, 1)
    ours = open_engine("tiny-base")
    model, tokenizer = ours.model, ours.tokenizer  # type: ignore[attr-defined]
    lock, one, prompt = "lock step", "batch one", "a prompt's samples together"
    engines = {
        lock: ours,
        one: OneByOne(model, tokenizer, False),
        prompt: OneByOne(model, tokenizer, True),
    }
    print(
        f"{args.threads} threads, {args.runs} alternating runs, {len(problems)} problems in lock "
        f"step, {args.peer} one by one"
    )
    print("problems a second: median (smallest, largest)")
    for name, settings in SEARCHES.items():
        reasoner = get_reasoner(name, **settings)
        speeds: dict[str, list[float]] = {kind: [] for kind in engines}
        notes: dict[str, str] = {}
        for run in range(args.runs):
            for kind, engine in engines.items():
                own = problems if kind == lock else problems[: args.peer]
                speed, notes[kind] = measure(reasoner, engine, own, kind == lock, run)
                speeds[kind].append(speed)
        for kind, found in speeds.items():
            ratio = median(speeds[lock]) / median(found)
            print(
                f"{name}, {kind}: {median(found):.2f} ({min(found):.2f}, {max(found):.2f}), "
                f"lock step is {ratio:.1f} times as fast; {notes[kind]}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
