"""The command that shows what all this is for, in less than a minute."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ltf_lite.app.cli.common import DONE, add_json, print_json, tell, whole

if TYPE_CHECKING:
    from ltf_lite.app.answer.demo import Demo

NEXT = (
    ("ltf train tiny --quick", "tune a copy of your own, in a few minutes"),
    ("ltf train tiny", "the same at full length, with a report"),
    ("python app.py", "the same side by side, in the browser"),
    ("ltf init", "begin with a task of your own"),
)


def add(verbs: Any) -> None:
    """Give the parser this command."""
    verb = verbs.add_parser(
        "demo", help="see search and single pass side by side, in half a minute"
    )
    verb.add_argument(
        "--seed", type=whole("a seed", 0, 10**9), default=0, help="other problems (default 0)"
    )
    add_json(verb)
    verb.set_defaults(run=demo, loads=True)


def demo(args: argparse.Namespace) -> int:
    from ltf_lite.app.answer.demo import demo as ask
    from ltf_lite.core.progress import say

    found = ask(args.seed, lambda what: say(f"  asking {what}"))
    print_json({"seed": args.seed, **_as_dict(found)}) if args.json else tell(_in_words(found))
    return DONE


def _in_words(found: Demo) -> str:
    text = found.problem.text
    lines = [f"{text}: reach the last number with all the others, each used once.", ""]
    for number, one in enumerate(found.shown, 1):
        mark = "solved" if one.answer.correct else "not solved"
        lines.append(f"{number}. {one.model}, {one.way}: {mark}, {one.answer.tokens} tokens")
        lines += [f"     {line}" for line in one.answer.text.strip().splitlines()]
    lines += [
        "",
        f"Shown is the first problem that the base alone does not solve. All {found.of}:",
    ]
    for one in found.shown:
        solved, rate = round(one.rate.rate * one.rate.n), one.rate
        name = f"{one.model}, {one.way}"
        share = f"{solved:2} of {rate.n} [{100 * rate.low:.0f}, {100 * rate.high:.0f} %]"
        lines.append(f"  {name:30}  {share}  {one.tokens:5.0f} tokens a problem")
    lines += [
        "",
        "tiny-base is a toy of 1.2 million weights; tiny-tuned is its copy after `ltf train tiny`.",
        "None of these targets was in its training. In brackets: 95 % intervals.",
        "",
        "What next:",
        *(f"  {command:24}{why}" for command, why in NEXT),
    ]
    return "\n".join(lines)


def _as_dict(found: Demo) -> dict[str, Any]:
    return {
        "problem": found.problem.as_dict(),
        "of": found.of,
        "shown": [
            {
                "model": one.model,
                "way": one.way,
                "solved": round(one.rate.rate * one.rate.n),
                "low": one.rate.low,
                "high": one.rate.high,
                "tokens": one.tokens,
                "answer": replace(one.answer, solution=None).as_dict(),
            }
            for one in found.shown
        ],
    }
