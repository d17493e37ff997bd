"""Search once, tune on what search found, answer at once.

In a notebook::

    import ltf_lite

    with ltf_lite.model("runs/tiny") as model:
        answer = ltf_lite.ask(model, "countdown", "25 5 5 33 -> 27")
        print(answer.text, answer.correct)

`model`, `task`, `ask` and `search` are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltf_lite.app.answer.ask import Answer
    from ltf_lite.app.python import Model, ask, model, search, task

__version__ = "0.1.0"
__all__ = ["Answer", "Model", "__version__", "ask", "model", "search", "task"]


def __getattr__(name: str) -> Any:
    """What the Python interface offers, imported at its first use."""
    if name in __all__:
        from ltf_lite.app import python

        return getattr(python, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
