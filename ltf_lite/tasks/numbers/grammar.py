"""The form of what a model writes about a number game, as a grammar (GBNF, llama.cpp's notation).

Form alone: where numbers, signs and words stand, and the most lines that there may be. Which
numbers those are, whether a result is right, whether a step is legal, what is left after it, and
how many steps come before the answer is the model's to choose and to compute: what fits may be as
wrong as any text.
"""

from __future__ import annotations

from ltf_lite.tasks.contract import Written
from ltf_lite.tasks.numbers.rules import MAX_DIGITS

END = r'"\n"{0,2}'  # behind the last line: nothing, or what ends a line or a few-shot reply
WORD = '"sure" | "likely" | "impossible"'
# A few lines of ASCII signs (of others, engines let halves in that are none), none of which begins
# like the last one.
JUDGED = rf"""root ::= thought{{0,8}} "Judgement: " ({WORD}) {END}
thought ::= [ -IK-~] [ -~]{{0,99}} "\n"
"""
# A problem has six numbers at most, so five are left.
RESULT = 'number " " sign " " number " = " number'
STANDARD = RESULT + ' " (left: " number (" " number){0,4} ")"'
COMPACT = 'number (sign | "/ ") number "=" number ("," number){0,4}'  # 0/ 1/5 is 0 by a fifth
ANSWER = r'"\nAnswer: " expression " = " number'
PARTS = {
    "expression": 'term (" " sign " " term)*',
    "term": 'whole | "(" expression ")"',
    "sign": "[-+*/]",
    "number": '"-"? whole ([./] whole)?',
    "whole": f"[0-9]{{1,{MAX_DIGITS}}}",
}


def grammar(what: Written, full: int, compact: bool) -> str:
    """The grammar of what is asked, in either text style; `full` are the most steps of a path."""
    if what == "judgement":
        return f'root ::= ({WORD}) "\\n"?\n' if compact else JUDGED
    # some engines know no repetition of zero times
    steps = rf'step ("\n" step){{0,{full - 1}}}' if full > 1 else "step"
    root = {
        "step": r'step "\n"',
        "proposals": rf'proposal ("\n" proposal)* {END}',
        "path": rf"{steps} {'' if compact else ANSWER} {END}",
    }
    line, short = (COMPACT, COMPACT) if compact else (STANDARD, RESULT)
    rules = {"root": root[what], "step": line, "proposal": short, **PARTS}
    return "".join(f"{name} ::= {rule}\n" for name, rule in rules.items())
