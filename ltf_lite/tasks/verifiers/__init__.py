"""Verifiers: whether an answer is right, given the one that a problem brings. One file each."""

from __future__ import annotations

from abc import abstractmethod

from ltf_lite.core.plugins import Plugin, Registry


class Verifier(Plugin):
    """Compares answers; its fields are its settings.

    It never raises on what a model wrote and never evaluates it.
    """

    name: str

    @abstractmethod
    def right(self, answer: str, gold: str) -> bool:
        """Whether an answer says the same as the gold answer."""


VERIFIERS: Registry[Verifier] = Registry("ltf_lite.tasks.verifiers", "verifier", Verifier)
