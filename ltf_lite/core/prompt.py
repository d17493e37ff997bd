"""What a model is asked: a text, or the turns of a chat."""

from __future__ import annotations

from collections.abc import Iterable

CHAT = "chat"
FEW_SHOT_CHAT = "few_shot_chat"


def chats(dialect: str) -> bool:
    """Whether a model is asked in this dialect through its own chat template."""
    return dialect in (CHAT, FEW_SHOT_CHAT)


class Prompt(str):
    """What an engine is asked, where it is more than a question.

    `turns` are the pairs (asked, answered) that come before the `question`; an answer has no blanks
    around it, for templates differ in what they do with those. `reply` is what the model is taken
    to have said already. One that is not `framed` is a text to go on with in every dialect, and no
    question. As a text it is all of them, so that two that differ are different texts.
    """

    question: str
    reply: str
    framed: bool
    turns: tuple[tuple[str, str], ...]

    def __new__(
        cls,
        question: str,
        reply: str = "",
        framed: bool = True,
        turns: Iterable[tuple[str, str]] = (),
    ) -> Prompt:
        earlier = tuple((str(asked), answered.strip()) for asked, answered in turns)
        told = "".join(f"{asked.rstrip()}\n\n{answered}\n\n" for asked, answered in earlier)
        own = super().__new__(cls, told + question + reply)
        own.question, own.reply, own.framed, own.turns = str(question), reply, framed, earlier
        return own

    @classmethod
    def of(cls, text: str) -> Prompt:
        """A text as a prompt: itself, or the question that it is."""
        return text if isinstance(text, Prompt) else cls(text)

    def replied(self, said: str) -> Prompt:
        """The same prompt after the model has said this too."""
        return Prompt(self.question, self.reply + said, self.framed, self.turns)
