"""Where the model folder of a GGUF file is kept."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
from filelock import FileLock

from ltf_lite.engines.from_gguf import at_hand, config_of, folder_of
from ltf_lite.export.gguf.write import write_gguf
from tests import tiny_models
from tests.gguf_bases import rewritten, sentence

FORK = multiprocessing.get_context("fork")  # a child that has imported everything


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A random Llama as a file in 32 bits."""
    place = tmp_path_factory.mktemp("gguf")
    return write_gguf(tiny_models.llama(place / "model"), place / "m.gguf", "f32")


def test_a_file_is_converted_once_and_known_by_its_content(file, cache, tmp_path, capsys):
    assert at_hand(file) is None
    folder = folder_of(file)
    assert capsys.readouterr().err.count("a model folder of m.gguf") == 1
    shutil.copy(file, tmp_path / "copy.gguf")
    assert folder_of(file) == folder_of(tmp_path / "copy.gguf") == folder
    assert at_hand(file) == Path(folder)
    assert capsys.readouterr().err == ""
    (Path(folder) / "model.safetensors").unlink()
    assert at_hand(file) is None
    assert folder_of(file) == folder
    assert (Path(folder) / "model.safetensors").is_file()


def test_a_changed_file_is_another_base(file, tmp_path):
    made = shutil.copy(file, tmp_path / "m.gguf")
    first = folder_of(made)
    rewritten(file, Path(made), **{"llama.rope.freq_base": 500.0})
    assert folder_of(made) != first
    assert config_of(made)["rope_parameters"]["rope_theta"] == 500.0


def test_two_processes_at_once_make_one_folder(file, capfd):
    both = [FORK.Process(target=folder_of, args=(file,)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert [each.exitcode for each in both] == [0, 0]
    assert capfd.readouterr().err.count("a model folder of") == 1
    assert at_hand(file) == Path(folder_of(file))


def killed_at_the_end(file: Path) -> None:
    """Convert a file, and be killed before the last bytes are on the disk."""
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    folder_of(file)


def test_a_kill_leaves_nothing_that_is_taken_for_whole(file, cache):
    killed = FORK.Process(target=killed_at_the_end, args=(file,))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    (left,) = folders(cache)
    assert left.endswith(".tmp")
    assert at_hand(file) is None
    folder = Path(folder_of(file))
    assert folders(cache) == [folder.name]


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "ltf_lite" / "bases").iterdir() if path.is_dir())


def test_what_older_versions_and_kills_left_goes_as_a_folder_is_made(
    file, cache, tmp_path, monkeypatch
):
    other = rewritten(file, tmp_path / "other.gguf", **{"llama.rope.freq_base": 500.0})
    old, kept = Path(folder_of(file)), Path(folder_of(other))
    dead, alive = (old.with_name(f".{'0' * 15}{n}-1.tmp") for n in range(2))
    for half in (dead, alive):
        half.mkdir()
        (half / "model.safetensors").write_bytes(b"half")
    monkeypatch.setattr("ltf_lite.engines.from_gguf.cache.VERSION", 2)
    with FileLock(alive.with_name(f"{alive.name.removesuffix('.tmp')}.lock")):
        new = Path(folder_of(file))
    assert (new.name != old.name, new.parent) == (True, old.parent)
    assert folders(cache) == sorted([alive.name, kept.name, new.name])
    assert folder_of(file) == str(new)


def test_a_place_that_cannot_be_written_is_one_sentence(file, cache, monkeypatch, tmp_path):
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a-file"))
    assert "XDG_CACHE_HOME names another place" in sentence(file)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    assert "0.0 GB are free" in sentence(file)
