"""The one base of our own errors: their text is a sentence for the user."""

from __future__ import annotations

from typing import TypeGuard

DONE, FAILED, USAGE = 0, 1, 2
BELOW = 3  # done, but the model is below a floor or has lost an ability
LONGEST = 300  # characters of another library's error that are shown


class LtfError(Exception):
    """Something that cannot be done; the text is one sentence with the way out.

    `code` is the exit code of a command that ends with it: 1 failed, 2 wrong usage or preset.
    """

    code = FAILED


class UsageError(LtfError, ValueError):
    """Arguments that do not fit together."""

    code = USAGE


def sentence(error: BaseException) -> str:
    """An exception in one line.

    Our own errors stay as they are. An error of the system is its reason and its file. Any other is
    named by its type, with the way to see more.
    """
    if isinstance(error, LtfError):
        return str(error)
    if of_system(error):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}"
    text = " ".join(str(error).split())[:LONGEST]
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{named} (LTF_DEBUG=1 shows the whole traceback)"


def of_system(error: BaseException) -> TypeGuard[OSError]:
    """Whether the system refused something, such as room on the disk."""
    return isinstance(error, OSError) and error.errno is not None
