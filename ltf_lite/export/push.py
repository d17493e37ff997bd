"""Bring exported files to the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from ltf_lite.core.errors import LONGEST, UsageError
from ltf_lite.engines.hub import reachable
from ltf_lite.export.errors import ExportError

REFUSED = (401, 403)


@dataclass(frozen=True)
class Pushed:
    """Where the files are on the Hub now, and whether anyone can read them there."""

    url: str
    files: tuple[str, ...]
    public: bool


def push(files: Mapping[str, Path], repo: str, public: bool = False) -> Pushed:
    """One commit with these files, name there → file here, to a repository that is made if need be.

    It is private unless `public`; one that is public already takes nothing without it. Raises
    ExportError where the Hub refuses.
    """
    api = HfApi()
    with _told(repo):
        made = api.create_repo(repo, private=not public, exist_ok=True)
        open_to_all = not api.repo_info(made.repo_id).private
    if open_to_all and not public:
        raise ExportError(
            f"the repository {made.repo_id} is public already: give --public to push to it, or "
            "name another"
        )
    added = [CommitOperationAdd(name, str(file)) for name, file in files.items()]
    with _told(repo):
        api.create_commit(made.repo_id, added, commit_message="Upload by ltf_lite")
    return Pushed(made.url, tuple(files), open_to_all)


def check_reach(repo: str) -> None:
    """Refuse before anything is sent where it can't arrive.

    Raises UsageError for what is no name of a repository, ExportError without the Hub or a token.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"{repo!r} is no name of a repository: write USER/NAME") from error
    if constants.HF_HUB_OFFLINE:
        raise ExportError("HF_HUB_OFFLINE is set, so nothing is pushed: unset it")
    if get_token() is None:
        raise ExportError("the Hugging Face Hub takes files from who is known: `hf auth login`")
    if not reachable():
        raise ExportError(
            f"the Hugging Face Hub does not answer at {constants.ENDPOINT}: is there a network?"
        )


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """The Hub's refusals as one sentence."""
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        way = "; `hf auth login` with a token that may write there" if status in REFUSED else ""
        raise ExportError(f"the Hub refuses {repo}: {_line(error)}{way}") from error
    except Exception as error:  # the network's errors have no common type
        raise ExportError(f"the Hub did not take {repo}: {_line(error)}") from error


def _line(error: Exception) -> str:
    """What a library says, as the end of a sentence."""
    return " ".join(str(error).split())[:LONGEST].rstrip(".:") or type(error).__name__
