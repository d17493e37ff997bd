"""Whatever a model writes gets a verdict, and the one that a verifier of its own gives it."""

from __future__ import annotations

from tests.benchmarks.hostile_paths import campaign


def test_hostile_texts_are_judged_line_by_line_as_a_second_verifier_does(tmp_path):
    found = campaign(150, 1, tmp_path)
    assert {name: kinds.total() for name, (kinds, _) in found.items()} == {
        "countdown": 150,
        "game24": 150,
        "reference": 150,
    }
    for kinds, wrong in found.values():
        assert not wrong
        assert {"right", "bad_input"} <= set(kinds)  # of both there are some
