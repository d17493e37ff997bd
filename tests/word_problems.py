"""The word problems of `ltf init`, made from templates: `python tests/word_problems.py`."""

from __future__ import annotations

import json
import random
from pathlib import Path

FILE = Path(__file__).parents[1] / "ltf_lite" / "tasks" / "example" / "questions.jsonl"
COUNT = 300
NAMES = ("Ada", "Ben", "Chen", "Dana", "Emil", "Fatima", "Goro", "Hana", "Ivan", "Julia")
THINGS = ("apples", "books", "coins", "pens", "stamps", "shells", "cards", "eggs")


def two_added(rng: random.Random) -> tuple[str, list[str], int]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    a, b = rng.randint(3, 40), rng.randint(3, 40)
    asked = f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have?"
    return asked, [f"{a} + {b} = {a + b}"], a + b


def gained_and_lost(rng: random.Random) -> tuple[str, list[str], int]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    a, b = rng.randint(5, 30), rng.randint(5, 30)
    c = rng.randint(2, a + b - 2)
    asked = f"{name} has {a} {thing}, buys {b} more and gives {c} away. How many {thing} are left?"
    return asked, [f"{a} + {b} = {a + b}", f"{a + b} - {c} = {a + b - c}"], a + b - c


def boxes(rng: random.Random) -> tuple[str, list[str], int]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    n, each, more = rng.randint(2, 9), rng.randint(2, 9), rng.randint(1, 12)
    asked = (
        f"{name} has {n} boxes with {each} {thing} in each, and {more} {thing} more. "
        f"How many {thing} are there?"
    )
    return (
        asked,
        [f"{n} * {each} = {n * each}", f"{n * each} + {more} = {n * each + more}"],
        (n * each + more),
    )


def shared(rng: random.Random) -> tuple[str, list[str], int]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    friends, each = rng.randint(2, 9), rng.randint(2, 9)
    asked = (
        f"{name} shares {friends * each} {thing} equally among {friends} friends. "
        f"How many {thing} does each friend get?"
    )
    return asked, [f"{friends * each} / {friends} = {each}"], each


def paid(rng: random.Random) -> tuple[str, list[str], int]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    n, price = rng.randint(2, 9), rng.randint(2, 9)
    note = rng.choice([each for each in (20, 50, 100) if each > n * price])
    asked = (
        f"{name} buys {n} {thing} at {price} dollars each and pays with {note} dollars. "
        "How many dollars does the seller give back?"
    )
    steps = [f"{n} * {price} = {n * price}", f"{note} - {n * price} = {note - n * price}"]
    return asked, steps, note - n * price


def older(rng: random.Random) -> tuple[str, list[str], int]:
    one, other = rng.sample(NAMES, 2)
    age, more, years = rng.randint(4, 30), rng.randint(2, 12), rng.randint(2, 15)
    asked = (
        f"{one} is {age} years old and {other} is {more} years older. "
        f"How old is {other} in {years} years?"
    )
    steps = [f"{age} + {more} = {age + more}", f"{age + more} + {years} = {age + more + years}"]
    return asked, steps, age + more + years


TEMPLATES = (two_added, gained_and_lost, boxes, shared, paid, older)


def problems(count: int = COUNT, seed: int = 0) -> list[dict[str, str]]:
    """So many different problems; the answer column has the way and the number, as GSM8K's."""
    rng, found = random.Random(seed), {}
    while len(found) < count:
        asked, steps, answer = rng.choice(TEMPLATES)(rng)
        way = "\n".join([*steps, f"#### {answer}"])
        found.setdefault(asked, {"question": asked, "answer": way})
    return list(found.values())


if __name__ == "__main__":
    FILE.write_text("".join(json.dumps(each) + "\n" for each in problems()), encoding="utf-8")
