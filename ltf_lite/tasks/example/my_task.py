"""A task of one's own: add a row of numbers, one addition a line. Change what you need.

ltf runs this file in a process of its own, without network, and never writes with it.
Try it: ltf task check my_task/my_task.py
"""

import random
import re

# Failure kinds of your own, each with a sentence; they stand in reports beside wrong_answer.
KINDS = {"wrong_addition": "An addition in between is wrong."}
STEP = re.compile(r"\s*(\d+)\s*\+\s*(\d+)\s*=\s*(\d+)\s*")


def problems():
    """Yield dicts. `question` is what a person reads, `answer` a right path if you know one."""
    rng = random.Random(0)
    for _ in range(400):
        a, b, c = (rng.randint(2, 60) for _ in range(3))
        way = f"{a} + {b} = {a + b}\n{a + b} + {c} = {a + b + c}\nAnswer: {a + b + c}"
        yield {"question": f"Add {a}, {b} and {c}.", "added": [a, b, c], "answer": way}


def verify(problem, text):
    """True or False, None where it cannot be decided, or a dict as below."""
    if fatal(problem, text) is not None:
        return {"correct": False, "kind": "wrong_addition"}
    said = re.findall(r"^Answer: *(\d+) *$", text, re.MULTILINE)
    return bool(said) and int(said[-1]) == sum(problem["added"])


# -- what follows is optional --------------------------------------------------------------------


def steps(text):
    """The texts of the steps, in their order. Without this function a step is a line."""
    return [line for line in text.splitlines() if STEP.fullmatch(line)]


def fatal(problem, text):
    """The number of the first wrong step, from 0; None where none is."""
    for number, line in enumerate(steps(text)):
        a, b, c = map(int, re.findall(r"\d+", line))
        if a + b != c:
            return number
    return None
