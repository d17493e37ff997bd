"""A disk that is full is told in one sentence, whoever noticed it, and costs no finished work."""

from __future__ import annotations

import errno
import json
import re
import shutil
import subprocess
import sys

import pytest

from ltf_lite.core.errors import naming, sentence
from ltf_lite.core.files import whole
from ltf_lite.pipeline.graph import STAGES, stage_of

APART = ["unshare", "-rm"]  # namespaces in which any user may mount a small disk


@pytest.fixture(scope="module")
def met(small_run, small_preset) -> dict[str, dict]:
    """What each stage did on a full disk, and afterwards."""
    asked = [*APART, "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt"]
    if not shutil.which(APART[0]) or subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here, so none can be full")
    command = [*APART, sys.executable, "-m", "tests.full_disk", small_run, small_preset]
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
@pytest.mark.slow(seconds=9)
def test_a_stage_on_a_full_disk_is_one_sentence_and_goes_on(stage, met):
    found = met[stage]
    last = found["said"].strip().splitlines()[-1]
    assert found["code"] == 1, found["said"]
    place = re.fullmatch(
        rf"ltf: {stage}: the disk is full: make room for {re.escape(found['run'])}/(\S+); "
        "the same command goes on where it stopped",
        last,
    )
    assert place, found["said"]
    assert place[1].startswith(stage_of(stage).folder.as_posix())
    assert "Traceback" not in found["said"]
    assert found["halves"] == found["others"] == []
    assert found["as_before"]


# As libraries tell it that write without Python's own files.
FOREIGN = [
    "I/O error: No space left on device (os error 28)",  # safetensors, tokenizers
    "Error while serializing: I/O error: Disk quota exceeded (os error 122)",
    "262144 requested and 8064 written",  # numpy
    "[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0",  # torch.save
    "PytorchStreamWriter failed writing file data/0: file write failed",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_full_disk_that_a_library_tells_of_names_the_file(tmp_path, text):
    file = tmp_path / "x.bin"
    with pytest.raises(OSError, match="No space left") as told, whole(file):
        raise RuntimeError(text)
    assert sentence(told.value) == f"the disk is full: make room for {file}"
    assert list(tmp_path.iterdir()) == []


def test_any_other_error_is_left_as_it_is(tmp_path):
    with pytest.raises(ValueError, match="odd"), naming(tmp_path):
        raise ValueError("odd")
    with pytest.raises(OSError, match="theirs") as told, naming(tmp_path):
        raise OSError(errno.ENOSPC, "full", "theirs")
    assert told.value.filename == "theirs"


def test_a_device_without_room_is_named():
    with pytest.raises(OSError, match="No space left") as told, open("/dev/full", "w") as full:
        full.write("x")
    assert "the disk is full" in sentence(told.value, "/dev/full")
