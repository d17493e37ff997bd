"""Where the model folder of a GGUF file is kept, so that a file is converted once.

The folder is named by the file's content. It gets its name when it is whole, so a kill leaves
nothing half, and one process at a time makes it. Whoever makes one clears away what nobody needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from ltf_lite.core.errors import of_system
from ltf_lite.core.files import HALF
from ltf_lite.core.places import cache
from ltf_lite.core.progress import bar
from ltf_lite.core.seals import hash_file
from ltf_lite.engines.base import EngineError
from ltf_lite.engines.dialect import KEY, dialect, searches, tell
from ltf_lite.engines.from_gguf.config import config, names
from ltf_lite.engines.from_gguf.header import Header, read_header

VERSION = 1  # of what is made of a file; a new one is made again
WEIGHTS = "model.safetensors"
SPARE = 2**26  # bytes besides the weights


def folder_of(path: str | Path) -> str:
    """The model folder of a GGUF file, made where there is none yet; raises EngineError."""
    if found := at_hand(path):
        return str(found)
    header = read_header(path)
    try:
        place = _places() / f"{hash_file(Path(path))}-{VERSION}"
        if not _whole(place):
            told, tokenizer = _checked(header)
            _places().mkdir(parents=True, exist_ok=True)
            with FileLock(place.with_name(f".{place.name}.lock")):
                if not _whole(place):  # another process was first
                    _clear(place)
                    _make(header, told, tokenizer, place)
        _remember(path, place)
    except OSError as error:
        if not of_system(error):
            raise
        raise EngineError(
            f"cannot keep {str(path)!r} as a model folder under {str(_places())!r}: "
            f"{error.strerror} (XDG_CACHE_HOME names another place)"
        ) from error
    return str(place)


def at_hand(path: str | Path) -> Path | None:
    """The folder of a file that was made before, found without a look into the file."""
    try:
        name = _note(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    place = _places() / Path(name or "none").name
    return place if _whole(place) else None


def _places() -> Path:
    return cache() / "bases"


def _whole(place: Path) -> bool:
    return all((place / name).is_file() for name in ("config.json", "tokenizer.json", WEIGHTS))


def _note(path: str | Path) -> Path:
    """Where is written down which folder a file became; a changed file has another note."""
    facts = os.stat(path)
    told = (os.path.realpath(path), facts.st_size, facts.st_mtime_ns, VERSION)
    return _places() / f".{hashlib.sha256(repr(told).encode('utf-8', 'replace')).hexdigest()[:16]}"


def _remember(path: str | Path, place: Path) -> None:
    note = _note(path)
    half = note.with_name(f"{note.name}.{os.getpid()}{HALF}")
    with suppress(OSError):
        half.write_text(place.name + "\n", encoding="utf-8")
        os.replace(half, note)


def _clear(place: Path) -> None:
    """Delete what older versions made of the same file, and what kills left half of any file.

    Whoever makes a folder holds its lock: one that is held is left alone.
    """
    content, _, _ = place.name.rpartition("-")
    older = [place.with_name(f"{content}-{version}") for version in range(1, VERSION)]
    for folder in filter(Path.is_dir, [*older, *place.parent.glob(f".*{HALF}")]):
        name = folder.name.removeprefix(".").removesuffix(HALF)
        # OSError: the lock is held, or another user's
        with suppress(OSError), FileLock(place.with_name(f".{name}.lock"), timeout=0):
            shutil.rmtree(folder, ignore_errors=True)


def _checked(header: Header) -> tuple[dict[str, Any], Any]:
    """config.json and tokenizer of a file; raises EngineError where it cannot be a base."""
    from ltf_lite.engines.from_gguf.vocabulary import tokenizer_of
    from ltf_lite.engines.from_gguf.weights import check_shapes

    told = config(header)
    check_shapes(header, told)
    if KEY in header.values:
        dialect(str(header.values[KEY]), f"the GGUF file {header.path!r}")
    return told, tokenizer_of(header, told)


def _make(header: Header, told: dict[str, Any], tokenizer: Any, place: Path) -> None:
    from ltf_lite.engines.from_gguf.weights import size_of

    size, free = size_of(header, told), shutil.disk_usage(place.parent).free
    if size + SPARE > free:
        raise EngineError(
            f"as a model folder {header.path!r} takes {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB "
            f"are free under {str(place.parent)!r} (XDG_CACHE_HOME names another place)"
        )
    half = place.with_name(f".{place.name}{HALF}")
    shutil.rmtree(half, ignore_errors=True)  # what a kill left
    title = f"a model folder of {Path(header.path).name}: tensors"
    try:
        with bar(title, len(names(told)) + 1) as advance:
            half.mkdir()
            _fill(half, header, told, tokenizer, advance)
            shutil.rmtree(place, ignore_errors=True)  # one that lacks files
            os.replace(half, place)
            advance(1, f"kept as {place}")
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _fill(
    folder: Path,
    header: Header,
    told: dict[str, Any],
    tokenizer: Any,
    advance: Callable[[int], object],
) -> None:
    from ltf_lite.engines.from_gguf.vocabulary import check_kept
    from ltf_lite.engines.from_gguf.weights import write_weights

    tokenizer.save_pretrained(folder)
    ends = {key: told[key] for key in told if key.endswith("_token_id")}
    _write_json(folder / "config.json", told)
    _write_json(folder / "generation_config.json", ends)
    if KEY in header.values:
        tell(folder, str(header.values[KEY]), search=searches(header.path))
    check_kept(header, tokenizer, folder)
    write_weights(header, told, folder / WEIGHTS, advance)


def _write_json(file: Path, told: dict[str, object]) -> None:
    file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
