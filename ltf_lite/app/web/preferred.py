"""What a person judged of pairs without names, and what that comes to once they are told."""

from __future__ import annotations

from typing import NamedTuple

from ltf_lite.app.web import cards
from ltf_lite.app.web.desk import Desk
from ltf_lite.core.text import escape
from ltf_lite.evaluation.compare import REAL

LEAST = 6  # judgements that are not equal; of fewer, even all alike are within chance
EQUAL = 2  # how a pair is judged in which neither is better


class Pair(NamedTuple):
    """A problem whose two answers are shown; where `turned`, the second way's is A.

    `right` says of each way whether its answer is right, None where that can't be said.
    """

    problem: str
    turned: bool
    right: tuple[bool | None, bool | None]


class Vote(NamedTuple):
    """A judged pair: the way that is better, the first 0 and the second 1, or EQUAL."""

    problem: str
    better: int
    right: tuple[bool | None, bool | None]


class Judging(NamedTuple):
    """The state of a page: two ways and their names, the pair that stands there, what was judged.

    `key` is of all that the ways depend on, so that no others are counted together.
    """

    key: str = ""
    names: tuple[str, str] = ("", "")
    pair: Pair | None = None
    votes: tuple[Vote, ...] = ()

    @property
    def seen(self) -> set[str]:
        """The problems that were judged, which are not judged again."""
        return {vote.problem for vote in self.votes}

    def judged(self, pressed: int) -> Judging:
        """With the judgement of the pair that stands there: A 0, B 1, or EQUAL.

        A second click finds no pair, and changes nothing.
        """
        if self.pair is None:
            return self
        better = 1 - pressed if self.pair.turned and pressed != EQUAL else pressed
        vote = Vote(self.pair.problem, better, self.pair.right)
        return self._replace(pair=None, votes=(*self.votes, vote))


def shown(judging: Judging, desk: Desk) -> str:
    """The names, how often each was preferred and was right, and what can be concluded."""
    say, votes = desk.say, judging.votes
    if not votes:
        return cards.remark(say("blind.none"))
    rows = [
        [name, sum(vote.better == way for vote in votes), _right(judging, way, desk)]
        for way, name in enumerate(judging.names)
    ]
    rows.append([say("blind.vote.equal"), sum(vote.better == EQUAL for vote in votes), ""])
    head = [say("pilot.way"), say("blind.preferred"), say("pilot.rate")]
    return _told(judging, desk) + cards.grid(head, rows)


def _right(judging: Judging, way: int, desk: Desk) -> str:
    known = [vote.right[way] for vote in judging.votes if vote.right[way] is not None]
    if not known:
        return "–"
    return desk.say("blind.right", right=sum(map(bool, known)), n=len(known))


def _told(judging: Judging, desk: Desk) -> str:
    """Which way is preferred, if the judgements that are not equal can tell."""
    from ltf_lite.evaluation.significance import exact_interval, mcnemar  # scipy takes a second

    say, votes = desk.say, judging.votes
    first, second = ([vote.better == way for vote in votes] for way in (0, 1))
    most = max((first, 0), (second, 1), key=lambda each: sum(each[0]))[1]
    k, n = sum((first, second)[most]), sum(first) + sum(second)
    if n < LEAST:
        return _judged("same", say("blind.few", n=n, least=LEAST))
    low, high = (f"{100 * end:.0f}" for end in exact_interval(k, n))
    p = mcnemar(first, second)
    facts = {"way": judging.names[most], "k": k, "n": n, "share": f"{100 * k / n:.0f}"}
    word = "blind.told" if p < REAL else "blind.not_told"
    look = "better" if p < REAL else "same"
    return _judged(look, say(word, **facts, low=low, high=high, p=f"{p:.2g}"))


def _judged(look: str, text: str) -> str:
    return f'<p class="ltf-judged ltf-{look}">{escape(text)}</p>'
