"""What a completions server answers, as far as it is read; whatever else comes is its error."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

CHARACTERS = 256  # of a token; the longest that vocabularies hold are runs of 128 spaces
BYTES = 4096  # of a token in JSON: its text several times, its bytes as numbers, its log p
ROOM = 1 << 16  # bytes of an answer beside its tokens
EXTRA = 16  # tokens beside those asked for, such as one that ends the text

Count = Annotated[int, Field(ge=0, lt=2**31)]
# log p; rounding may lift one a little above 0
LogP = Annotated[float, Field(ge=-1e6, le=0.01, allow_inf_nan=False)]


# Servers write null for what there is nothing of.
_Object = BeforeValidator(lambda value: {} if value is None else value)
_List = BeforeValidator(lambda value: [] if value is None else value)
_Text = BeforeValidator(lambda value: "" if value is None else value)


class Part(BaseModel):
    """A part of an answer; what is not named here may be anything."""

    model_config = ConfigDict(strict=True, frozen=True)


class Token(Part):
    """A token as llama-server lists it."""

    logprob: LogP | None = None


class Logprobs(Part):
    """Log p of an answer's tokens, in the shape of completions or in that of llama-server."""

    tokens: Annotated[list[str], _List] = []
    token_logprobs: list[LogP | None] | None = None
    text_offset: Annotated[list[int], _List] = []
    content: list[Token] | None = None

    def values(self) -> list[float] | None:
        """Log p of each token, nan where there is none; None where there are none at all."""
        found = self.token_logprobs
        if found is None and self.content is not None:
            found = [token.logprob for token in self.content]
        return None if found is None else [math.nan if p is None else p for p in found]


class Choice(Part):
    """One completion; servers differ in what they write beside its text."""

    text: Annotated[str, _Text]
    finish_reason: str | None = None
    logprobs: Annotated[Logprobs, _Object] = Logprobs()


class Used(Part):
    """How many tokens a request took, where the server counts them."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None


class Completed(Part):
    """The answer to a request for completions."""

    choices: list[Choice] = Field(min_length=1)
    usage: Annotated[Used, _Object] = Used()


class Message(Part):
    """What a model said in a chat."""

    content: Annotated[str, _Text]


class Reply(Part):
    """One reply in a chat."""

    message: Message
    finish_reason: str | None = None
    logprobs: Annotated[Logprobs, _Object] = Logprobs()


class Replied(Part):
    """The answer to a request for a reply in a chat."""

    choices: list[Reply] = Field(min_length=1)
    usage: Annotated[Used, _Object] = Used()

    def completed(self) -> Completed:
        """The same as a completion."""
        reply = self.choices[0]
        choice = Choice(
            text=reply.message.content, finish_reason=reply.finish_reason, logprobs=reply.logprobs
        )
        return Completed(choices=[choice], usage=self.usage)


class Card(Part):
    """A model that a server has; `root` is where some say that it came from."""

    id: str
    root: str | None = None


class Models(Part):
    """The models that a server lists."""

    data: list[Card]


T = TypeVar("T", bound=Part)


class WrongAnswer(ValueError):
    """What is wrong with an answer, as the end of a sentence."""


def read(kind: type[T], data: Any) -> T:
    """An answer of a kind, every part of the right type; raises WrongAnswer."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"])) or "the whole of it"
    if first["type"] == "missing":
        raise WrongAnswer(f"{place} is missing")
    shown = ascii(first["input"])
    shown = shown if len(shown) < 40 else f"{shown[:40]}…"
    raise WrongAnswer(f"{place} is {shown}: {first['msg'].lower()}")


def most_bytes(tokens: int, prompt: str, echo: bool) -> int:
    """The size that an answer with so many tokens may have; with `echo` the prompt's are there."""
    prompt_bytes = len(prompt.encode())
    return ROOM + BYTES * tokens + (BYTES // 8 if echo else 16) * prompt_bytes


def completed(data: Any, tokens: int, prompt: str, echo: bool, chat: bool = False) -> Completed:
    """A completion of at most so many tokens, after its prompt where that is echoed.

    A reply in a `chat` is one too.

    Halves of a character become U+FFFD, which no file refuses. Raises WrongAnswer.
    """
    found = read(Replied, data).completed() if chat else read(Completed, data)
    choice = found.choices[0]
    text = whole(choice.text)
    before = len(prompt.encode()) if echo else 0
    room = CHARACTERS * (tokens + EXTRA) + before
    if len(text) > room:
        raise WrongAnswer(f"its text has {len(text):,} characters, for {tokens} tokens asked for")
    listed, told = len(choice.logprobs.values() or []), found.usage.completion_tokens or 0
    for what, count in (("log-probabilities", listed), ("tokens", told)):
        if count > tokens + EXTRA + before:
            raise WrongAnswer(f"it has {count:,} {what}, for {tokens} tokens asked for")
    choice = choice.model_copy(update={"text": text})
    return found.model_copy(update={"choices": [choice]})


def whole(text: str) -> str:
    """A text with U+FFFD in place of halves of a character, which no encoding can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
