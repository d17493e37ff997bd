"""Whatever a model writes gets a verdict, and the one that a verifier of its own gives it."""

from __future__ import annotations

import pytest

from tests.benchmarks.hostile_paths import campaign


@pytest.mark.slow
def test_hostile_texts_are_judged_line_by_line_as_a_second_verifier_does(tmp_path):
    names = []
    for name, kinds, wrong in campaign(150, 1, tmp_path):
        names.append(name)
        assert not wrong
        assert kinds.total() == 150
        assert {"right", "bad_input"} <= set(kinds)  # of both there are some
    assert names == ["countdown", "game24", "reference"]
