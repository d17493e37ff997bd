"""A second verifier, slow and written from the rules alone: the fast one must agree with it.

It shares no code with ltf_lite: numbers are Fractions, lines are read with every reading tried,
answers are read by Python's own parser, and what can still be reached is found by brute force.
"""

from __future__ import annotations

import ast
import random
import re
import unicodedata
from fractions import Fraction

from tests.test_solver import allowed, reachable

MUTATIONS = "0123456789 +-*/=,.():\n\t×÷−xXA٣\x00"
MARKS = [  # that may stand around an answer
    *(("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("**", "**"), ("__", "__"), ("$", "$")),
    *(("*", "*"), ("_", "_"), ("`", "`"), ('"', '"'), ("'", "'"), ("“", "”"), ("„", "“")),
    *(("‘", "’"), ("«", "»"), ("「", "」"), ("『", "』")),
]
SPELLINGS = {"×": "*", "÷": "/", "·": "*", "−": "-", "x": "*", "X": "*"}


def slow_verdict(problem, rules, text: str) -> tuple[str | None, int | None]:
    """Kind and fatal step of a text, (None, None) if it is correct."""
    full = len(problem.data["numbers"]) - 1
    steps, answer, compact = _read(text, full)
    left = [Fraction(n) for n in problem.data["numbers"]]
    for index, (line, readings) in enumerate(steps[:full]):
        if not readings:
            bare = _answers(line, False, problem) == "right"
            return ("no_steps" if bare else "format"), index
        step = max(readings, key=lambda r: (_there(left, r), _result(*r[:3]) == r[3]))
        kind = _kind(left, step, problem.data["target"], rules)
        if kind:
            return kind, index
        left = list(step[4])
    if len(steps) < full:
        right = bool(answer) and _answers(answer, False, problem) == "right"
        return ("no_steps" if right else "incomplete"), len(steps)
    bare = len(steps) > full
    if bare and _answers(steps[full][0], False, problem) != "right":
        return "format", full
    if not answer:
        return (None, None) if compact or bare else ("incomplete", full)
    said = _answers(answer, compact, problem)
    return (None, None) if said == "right" else (said, full)


def _there(left, reading) -> bool:
    return reading[0] in left and reading[2] in left


def _kind(left, step, target, rules) -> str | None:
    a, op, b, result, said = step
    rest = list(left)
    for operand in (a, b):
        if operand not in rest:
            return "illegal"
        rest.remove(operand)
    if _result(a, op, b) != result:
        return "arithmetic"
    if sorted(said) != sorted([*rest, result]):
        return "bookkeeping"
    reach = reachable(tuple(sorted(said)), rules)
    return None if allowed(result, rules) and target in reach else "dead_end"


def _result(a, op, b) -> Fraction | None:
    if op == "/":
        return a / b if b else None
    return {"+": a + b, "-": a - b, "*": a * b}[op]


def _read(text: str, full: int):
    """Readings of each line before the answer, the answer's text, whether all is compact."""
    steps: list[tuple[str, list]] = []
    compact = True
    for line in (each.strip() for each in text.split("\n")):
        if not line:
            continue
        plain = _spelled(line)
        free = re.sub(r"\((-?[0-9]{1,30}(?:[./][0-9]{1,30})?)\)", r" \1 ", plain).strip()
        standard = _readings(free, _standard_tail)
        short = _readings(free, _compact_tail)
        head = plain[:6].lower()
        if not standard and not short:
            if head == "answer" and plain[6:].lstrip().startswith(":"):
                answer = plain[6:].lstrip()[1:].strip()
                return steps, answer, compact and bool(steps)
            if len(steps) >= full and compact and _shaped(plain):
                return steps, line, True
        steps.append((line, standard or short))
        compact = compact and not standard and bool(short)
    return steps, "", compact and bool(steps)


def _spelled(line: str) -> str:
    """The line in plain signs, without marks around it and a full stop."""
    plain = "".join(SPELLINGS.get(c, c) for c in line.replace("**", "  "))
    return plain.rstrip(". \t\u00a0").strip()


def _shaped(text: str) -> bool:
    """Whether a text looks like a number; `1/0` does, and has no value."""
    digits = text[1:] if text.startswith("-") else text
    for sign in ("/", "."):
        parts = digits.split(sign)
        if len(parts) <= 2 and all(part and set(part) <= set("0123456789") for part in parts):
            return all(len(part) <= 30 for part in parts)
    return False


def _number(text: str) -> Fraction | None:
    try:
        return Fraction(text) if _shaped(text) else None
    except ZeroDivisionError:
        return None


def _readings(line: str, tail) -> list[tuple]:
    """Every way to read a line as a step, the longest first operand first; [] if there is none."""
    found = []
    for i in range(len(line), 0, -1):
        if not _shaped(line[:i]):
            continue
        rest = line[i:].lstrip()
        if not rest or rest[0] not in "+-*/":
            continue
        op, rest = rest[0], rest[1:].lstrip()
        second, equals, after = rest.partition("=")
        if equals and _shaped(second.rstrip()):
            found += [
                (_number(line[:i]), op, _number(second.rstrip()), result, left)
                for result, left in tail(after.lstrip())
            ]
    return [r for r in found if None not in r[:4] and None not in r[4]]


def _standard_tail(text: str):
    result, bracket, rest = text.partition("(")
    rest = rest.lstrip()
    if not bracket or not _shaped(result.rstrip()) or rest[:4].lower() != "left":
        return []
    rest = rest[4:].lstrip()
    if rest[:1] != ":" or rest[-1:] != ")":
        return []
    return [(_number(result.rstrip()), [_number(n) for n in rest[1:-1].replace(",", " ").split()])]


def _compact_tail(text: str):
    parts = [part.strip() for part in text.split(",")]
    if not all(map(_shaped, parts)):
        return []
    values = [_number(part) for part in parts]
    return [(values[0], values)]


def _answers(text: str, compact: bool, problem) -> str:
    """`right`, `wrong_answer` or `unclear`; wrong is what any part shows that can be read."""
    body, *claims = _spelled(text).split("=")
    number = _number(body.strip())
    try:
        if compact and number is not None:
            value = number
        else:
            value, used = _expression(body)
            if sorted(used) != sorted(problem.data["numbers"]):
                return "wrong_answer"
    except ZeroDivisionError:
        return "wrong_answer"
    except (ValueError, SyntaxError):
        return "unclear"
    said, unread = [value], False
    for claim in claims:
        number = _number(claim.strip())
        try:
            said.append(_expression(claim)[0] if number is None else number)
        except ZeroDivisionError:
            return "wrong_answer"
        except (ValueError, SyntaxError):
            unread = True
    if any(each != problem.data["target"] for each in said):
        return "wrong_answer"
    return "unclear" if unread else "right"


def _expression(text: str) -> tuple[Fraction, list[int]]:
    if not all(c in "0123456789+-*/()" or c.isspace() for c in text):
        raise ValueError
    plain = " ".join(re.sub(r"(?<![0-9])0+(?=[0-9])", "", text).split())
    used: list[int] = []

    def value(node) -> Fraction:
        if isinstance(node, ast.Constant):
            used.append(node.value)
            return Fraction(node.value)
        signs = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
        if not isinstance(node, ast.BinOp) or type(node.op) not in signs:
            raise ValueError
        result = _result(value(node.left), signs[type(node.op)], value(node.right))
        if result is None:
            raise ZeroDivisionError
        return result

    return value(ast.parse(plain, mode="eval").body), used


def slow_answer(gold: str, text: str) -> bool:
    """Whether the last line of a free text that begins with `Answer:` says the answer."""
    said = None
    for line in text[:20_000].split("\n"):
        word, colon, rest = line.partition(":")
        if colon and word.strip(" \t").casefold() == "answer":
            said = rest
    return said is not None and _plain(said) == _plain(gold)


def _plain(text: str) -> str:
    """The text without what does not count: forms of letters, case, blanks, marks around it."""
    kept = ("<super>", "<sub>", "<fraction>")
    letters = [
        c
        if unicodedata.decomposition(c).split(" ")[0] in kept
        else unicodedata.normalize("NFKC", c)
        for c in unicodedata.normalize("NFC", text)
    ]
    bare, stops = re.sub(r"\s+", " ", "".join(letters)).strip(), 1
    for _ in range(12):
        if stops and re.search(r"(?<!\.)\.$|。$", bare):
            bare, stops = bare[:-1].strip(), 0
        for left, right in MARKS:
            inner = bare.removeprefix(left).removesuffix(right)
            whole = bare == left + inner + right and inner.strip()
            if whole and left not in inner and right not in inner:
                bare = inner.strip()
                break
    return bare.casefold()


def some_path(task, problem, rng: random.Random) -> str:
    """A path in one of the styles, most often right, with up to three mutations."""
    left, path = task.start(problem), []
    while len(left) > 1:
        moves = task.moves(problem, left)
        hopeful = [move for move in moves if task.solvable(problem, move.left)]
        path.append(rng.choice(hopeful if hopeful and rng.random() < 0.9 else moves))
        left = path[-1].left
    text = task.write(problem, path, rng.choice(["standard", "compact"]))
    target = problem.data["target"]
    text += rng.choice(["", "", f"{target}\n", f"Answer: {target}\n"])
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        text = mutated(text, rng)
    return text


def mutated(text: str, rng: random.Random) -> str:
    """The text with a character or a line removed, doubled, moved or replaced."""
    if not text:
        return text
    at, lines = rng.randrange(len(text)), text.split("\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(7):
        case 0:
            return text[:at] + text[at + 1 :]
        case 1:
            return text[:at] + rng.choice(MUTATIONS) + text[at:]
        case 2:
            return text[:at] + rng.choice(MUTATIONS) + text[at + 1 :]
        case 3:
            return text[:at]
        case 4:
            lines[i], lines[j] = lines[j], lines[i]
        case 5:
            lines.insert(i, lines[j])
        case 6:
            del lines[i]
    return "\n".join(lines)
