"""What ways of answering are called on the page: never by their names in code and settings."""

from __future__ import annotations

from ltf_lite.app.answer.ask import CHAINS
from ltf_lite.app.web.words import Say
from ltf_lite.evaluation.naming import size_of
from ltf_lite.evaluation.naming import title_of as english_of
from ltf_lite.reasoners import REASONERS, Choice

OF_SAMPLES = ("sample", "self_consistency", "best_of_n", "oracle")


def title_of_way(way: str, say: Say) -> str:
    """What a way is called: in the app's language, else as its reasoner calls itself."""
    title = "" if way in CHAINS else REASONERS.get(way).title
    return say.known(f"way.{way}", title[:1].upper() + title[1:] or way)


def within(way: str, say: Say) -> str:
    """What a way is called within a sentence."""
    title = say.known(f"figure.{way}", title_of_way(way, say))
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def title_of(reasoner: str, choice: Choice, say: Say) -> str:
    """What a row of a run's results is called; of samples it is said how many there are."""
    many = size_of(choice)
    if choice.kind == "single_pass":
        return say("way.single-pass")
    if choice.kind in OF_SAMPLES and many:
        return say(f"answer.{choice.kind}", n=many)
    return say.known(f"figure.{reasoner}", english_of(reasoner))
