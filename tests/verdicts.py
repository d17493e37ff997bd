"""Answers and what each verifier has to say of them: gold answer, right ones, wrong ones.

Right and wrong ones are divided by ` | `; none of them may contain that.
"""

from __future__ import annotations

Verdicts = dict[str, tuple[str, str]]

EXACT: Verdicts = {
    "Paris": (
        "Paris | paris | PARIS |  Paris  | Paris. | 'Paris' | \"Paris\" | “Paris” | ‘Paris’ | «Paris»"
        " | **Paris** | *Paris* | __Paris__ | _Paris_ | `Paris` | $Paris$ | **Paris.** | **Paris**."
        ' | **"Paris"** | Ｐａｒｉｓ | 「Paris」 | \\(Paris\\) | Paris。',
        "Pari | London | Paris! | Paris, | Paris? | Par is | Paris or Rome | the city of Paris | "
        " | 'Paris | Paris.. | *Paris | nan | Paris\0 | (Paris) | #Paris | P",
    ),
    "a  b\nc": ("a b c | A B C. | a\tb\u00a0c", "abc | a b | a, b, c | *a* *b* *c*"),
    "10²": ("10² | $10²$", "102 | 10^2 | 10₂"),
    "½": ("½", "1/2 | 12 | 1⁄2"),
    "café": ("cafe\u0301 | CAFÉ", "cafe"),
    '"a" and "b"': ('"a" and "b".', 'a" and "b'),
    "10-5": ("10-5", "5 | 10 - 5"),
    "12%": ("12%", "12"),
    "nan": ("nan", "inf"),
}

NUMBER: Verdicts = {
    "5": (
        "5 | 5. | 5.0 | 05 | +5 | 5.00 | **5** | $5$ | \\(5\\) | `5` | 5e0 | 50e-1 | 0.5e1 | 10/2"
        " | 10 / 2 | five | Five. | five apples | 5 apples | 5 cm | 5cm | 5 cm² | 5 cm^2 | 5 m/s"
        " | $5 | \\$5 | $5.00 | €5 | 5 dollars | x = 5 | x=5 | \\frac{10}{2} | \\dfrac{10}{2}"
        " | 5\\text{ cm} | 5 \\mathrm{kg} | 5° | 5^\\circ | ５ | 5 square feet | 5 × 10^0"
        " | 0.05 × 10^{2} | 500 \\times 10^{-2} | answer = 5",
        "10-5 | 2+3 | 5*1 | 5!  | 5% | 5 % | 5 percent | five percent | -5 | −5 | 6 | 5.0001 | 5x | 5k"
        " | 5i | 5 million | 5 thousand | 5 hundred | 5 and 6 | 5 or 6 | 5 or six | 5, 6 | 5 6 | 5/0"
        " | 5/1/1 | nan | NaN | inf | -inf | Infinity | ∞ |  | abc | 5=5 | 5..0 | --5 | +-5 | 0x5"
        " | ٥ | 5² | 5_0 | (5) | 5 dozen | 5 to 6 | five six | 5 pi | 5π | 1 2 3 4 5 | [5] | 5e | 5\0"
        " | sqrt(25) | \\sqrt{25} | 2024-01-05 | 5:00 | about 5 | #5 | 5e999999999 | 5 - 0 | 9**9",
    ),
    "1,234,567": (
        "1234567 | 1,234,567 | 1{,}234{,}567 | 1,234,567.0 | 1.234567e6 | $1,234,567",
        "1,234,56 | 12,34,567 | 1 234 567 | 1.234.567 | 1,234567 | 1,234 | 123,4567",
    ),
    "3/4": (
        "3/4 | 6/8 | 0.75 | .75 | \\frac{3}{4} | \\frac34 | ¾ | 3⁄4 | 75e-2",
        "3 4 | 0.7500001 | 4/3 | -3/4 | 1 3/4 | 75% | 3:4 | 3÷4 | three fourths",
    ),
    "1 1/2": (
        "1 1/2 | 1½ | 3/2 | 1.5 | 1\\frac{1}{2} | 1 \\frac12",
        "11/2 | 1 1/0 | 1 3/2 | -1 1/2 | 1 + 1/2",
    ),
    "-7": ("-7 | −7 | - 7 | -7.0 | minus seven | negative 7 | -$7", "7 | --7 | -7 - 0 | 7-"),
    "12%": ("12% | 12 % | 12\\% | 12 percent | 12.0%", "12 | 0.12 | 12/100 | 13% | 12%%"),
    "12 apples": (
        "12 | 12 apples | 12 Apples. | twelve apples | 12 apple | twelve",
        "12 pears | 12 red apples | 12 apples and 1 pear | 12 apples 13 | apples | 12 or 13 apples",
    ),
    "$3": ("$3 | 3 | 3 dollars | 3 USD", "€3 | 3 euros | $3 euros"),
    "21": ("twenty-one | twenty one | Twenty-One.", "twenty | one | twentyone | twenty-eleven"),
    "105": (
        "one hundred five | one hundred and five | a hundred and five",
        "one hundred | hundred",
    ),
    "0": ("0 | zero | -0 | 0.0 | 0%%".replace(" | 0%%", ""), "0% | none | no | o | "),
    "5000000": ("5 million | five million | 5e6 | 5 million people", "5 | 5M | 5 billion"),
    "1e400": ("1e400 | 1E400", "1e401 | 1e399 | 1e4000 | 1e1000000 | 9e99999999999"),
    "5 mW": ("5 mW | 5", "5 MW"),
}

CHOICE: Verdicts = {
    "B": (
        "B | b | (B) | (b) | [B] | B. | B) | b) | B: | **B** | $B$ | \\(B\\) | `B` | option B"
        " | Option (B) | the answer is B | answer: B | choice B. | B) Paris | (B) Paris | B. Paris"
        " | B: Paris | b) paris | **B) Paris** | The letter B | letter b | 'B' | Ｂ | Option B: Paris"
        " | B) a cat and a dog | B. I think so",
        "A | C | D | E | Z | A or B | A and B | B and C | A, B | AB | BB | B B | (A)(B) | B) C)"
        " | B) Paris or C) Rome | B, C | (B) or (C) | B) option C | B/C | B Paris | Paris |  | 2 | nan"
        " | B- | B! | not B | it is B | ) | ( | B\0 | A) Paris | B) Paris (C) Rome | B. C. | β | В",
    ),
    "(C)": ("C | c. | C) text", "B | (B) | CC"),
}
CAPITALS = {"A": "Rome", "B": "Paris", "C": "A", "D": "Rome", "E": "None of these."}
CHOICE_OF_TEXTS: Verdicts = {
    "B": (
        "B | b | Paris | paris. | **Paris** | B) Paris | (b) PARIS | option B | $\\text{B}$".replace(
            " | $\\text{B}$", ""
        ),
        "A | Rome | B) Rome | F | A) Paris | E | None of these | Paris or Rome | London",
    ),
    "Paris": ("B | Paris", "C | Rome"),
    "A": ("A | (A) Rome", "Rome | C | B | D"),
    "e": ("None of these | E | e) none of these", "none | D"),
}

JSON: Verdicts = {
    '{"a": 1, "b": [true, null, "x"]}': (
        '{"a": 1, "b": [true, null, "x"]} | {"b":[true,null,"x"],"a":1} | {"a": 1.0, "b": [true, null, '
        '"x"]} | {"a": 1e0, "b": [true, null, "x"]} |   {"a": 10e-1, "b": [true, null, "\\u0078"]}  '
        '| ```json\n{"a": 1, "b": [true, null, "x"]}\n``` | ```\n{"a": 1, "b": [true, null, "x"]}```'
        ' | {"\\u0061": 1.000, "b": [true, null, "x"]}',
        '{"a": 1} | {"a": 1, "b": [true, null]} | {"a": "1", "b": [true, null, "x"]} | '
        '{"a": true, "b": [true, null, "x"]} | {"a": 1, "b": [null, true, "x"]} | '
        '{"a": 1, "b": [true, null, "X"]} | {"a": 1, "a": 1, "b": [true, null, "x"]} | '
        '{"a": 1, "b": [true, null, "x"], "c": 0} | [{"a": 1, "b": [true, null, "x"]}] | '
        '{"a": 1, "b": [true, null, "x"]} x | {"a": 1, "b": [true, null, "x"] | '
        "{'a': 1, 'b': [true, null, 'x']} | {\"a\": NaN, \"b\": [true, null, \"x\"]} | "
        '{"a": 1, "b": [true, null, "x "]} |  | null | x | ```json | {"a": 1,} | '
        '{"A": 1, "b": [true, null, "x"]} | {"a": 2-1, "b": [true, null, "x"]}',
    ),
    "1": (
        "1 | 1.0 | 1e0 | 0.1e1 | 100e-2",
        '"1" | true | [1] | 1.0000001 | 2-1 | 01 | 1% | +1 | .1e1',
    ),
    "true": ("true | ```json\ntrue\n```", 'True | 1 | 1.0 | "true" | false | null'),
    "0": ("0 | 0.0 | -0 | 0e5", "false | null | [] | nan | NaN | 1e-400"),
    "0.1": ("0.1 | 1e-1 | 0.10", "0.1000000000000000055511151231257827 | 0.2"),
    "1e400": ("1e400 | 10e399", "Infinity | 1e999999999 | 1e401"),
    '"é"': ('"é" | "\\u00e9"', '"e\u0301" | é | "E"'),
    "[1, 2]": ("[1, 2] | [1,2.0]", "[2, 1] | 1, 2 | [1, 2,] | (1, 2) | [1 2] | {1, 2}"),
    "[]": ("[] | [ ]", "{} | [[]] | null"),
}

MATH: Verdicts = {
    "5": (
        "5 | 5.0 | $5$ | \\(5\\) | 10/2 | \\text{five} | \\frac{10}{2} | x=5 | x = 5 | {5} | (5) | \\{5\\} | five"
        " | 5 \\text{ cm} | 5 cm | **5** | \\boxed{5} | +5",
        "10-5 | 2+3 | 5*1 | 5\\cdot 1 | 5! | \\sqrt{25} | sqrt(25) | 5^1 | 5% | 5\\% | -5 | 4 or 5"
        " | 5, 6 | (5, 6) | 5i | 5x | x | nan | NaN | inf | \\infty |  | the answer is 5 | $4$ and $5$"
        " | 4+1=5 | 5 = 5 | \\binom{5}{1} | 5.0001 | ( | \\frac{10}{2 | five six | 9**9**9**9 | [5] | 5' | 5_2 | 5 5"
        " | \\lfloor 5.5 \\rfloor | x>4 | \\int_0^5 1 dx | 5 million",
    ),
    "10-5": ("5 | 10-5 | 2+3", "6 | nan | 5% | 2 3"),
    "-3/4": ("\\frac{-3}{4} | -\\frac{3}{4} | -0.75 | -3/4", "3/4 | -\\frac{-3}{4} | 3-4"),
    "\\sqrt{121}": ("\\sqrt{121} | 11", "5 6 | 5\\quad 6 | 1 1"),
    "\\frac{1}{2}": ("1/2 | 0.5 | \\dfrac12 | .5 | 2/4 | 3/6", "0.49 | 2 | 50% | 1/2/1 | 1-0.5"),
    "2\\sqrt{3}": (
        "2\\sqrt{3} | \\sqrt{12} | 2*sqrt(3) | \\sqrt{3}\\cdot 2",
        "\\sqrt{3} | 3.46 | 12",
    ),
    "x^2+2x+1": ("(x+1)^2 | 1+2x+x^2 | (x+1)**2 | (x+1)(x+1)", "x^2+1 | (x+2)^2 | 4 | x"),
    "x^2y^2z^2": ("x^2y^2z^2 | z^2y^2x^2 | (xyz)^2", "x^2y^2z^3 | xyz"),
    "(x+1)^{100}": ("(x+1)^{100} | (1+x)^{100}", "x+1"),
    "\\pi": ("\\pi | pi | π", "3.14 | 22/7 | 2\\pi"),
    "\\{1, 2\\}": ("\\{1,2\\} | \\{2,1\\} | {1,2} | 1, 2", "\\{1\\} | \\{1,3\\} | [1,2] | 12"),
    "[0, 1)": ("[0,1) | \\left[0,1\\right)", "(0,1) | [0,1] | 0 | 1"),
    "12%": ("12% | 12\\%", "12 | 0.12 | 13%"),
    "\\text{east}": ("east | \\text{east} | East.", "seat | west | e | east or west"),
    "\\sin x": ("\\sin x | sin(x)", "\\cos x | x"),
    "\\begin{pmatrix}1\\\\2\\end{pmatrix}": (
        "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
        "\\begin{pmatrix}2\\\\1\\end{pmatrix} | 1",
    ),
}

REGEX: dict[str, Verdicts] = {
    "[a-c]{2}\\d": {
        "": (
            "ab1 | aa0 | cc9 |  ba5  | bc3 | ac7 | bb2 | ca4",
            "ab | AB1 | ab12 | xab1 | ab1x | ab1\nab1 | nan | 10-5 | ab1. | (ab1) | 1ab | d |  | a b1",
        )
    },
    "(the )?{answer}!?": {
        "a.c": ("a.c | the a.c | a.c! | the a.c!", "abc | a.c!! | A.c | the  a.c | a | the"),
        "10-5": ("10-5 | the 10-5", "5 | 10 | 105"),
        "12%": ("12%", "12"),
    },
    "it is (?P<answer>.*)": {
        "Paris": ("it is Paris | it is paris. | it is **Paris**".replace(" | it is paris.", ""),
                  "it is Rome | Paris | it is | it is Paris or Rome | It is Paris"),
    },
}  # fmt: skip
