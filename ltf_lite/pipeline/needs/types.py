"""What is said of a preset's needs: memory at its peak, what fits here, the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["card", "cpu"]


@dataclass(frozen=True)
class Peak:
    """Memory at the peak of tuning, bytes, in so many pieces of a micro-batch.

    `parts` says what it is made of; `at_once` says the rows of a piece in words.
    """

    pieces: int
    successes: int
    failures: int
    parts: dict[str, int]
    total: int
    at_once: str


@dataclass(frozen=True)
class Peaks:
    """The peak of a whole micro-batch, and of the smallest piece that it can be cut into."""

    whole: Peak
    smallest: Peak


@dataclass(frozen=True)
class Here:
    """The card of this machine, None for none; its free bytes, or the memory's; what fits them."""

    card: str | None
    free: int | None
    fits: Peak | None


@dataclass(frozen=True)
class Preview:
    """What `--dry-run` says, bytes throughout.

    `cards` has what fits a card of so many GB. `fits` is whether tuning fits the card that was
    asked about, None where none was; `nearest` is then a preset that does.
    """

    preset: str
    base: str
    load_in_4bit: bool
    card: Peaks
    cpu: Peaks
    here: Here
    cards: dict[str, Peak | None]
    fits: bool | None
    nearest: str | None

    def peaks(self, side: Side) -> Peaks:
        return self.card if side == "card" else self.cpu

    @property
    def sides(self) -> list[Side]:
        """What is of interest: on a card, and where there is none on the CPU too."""
        return ["card"] if self.here.card or self.fits is not None else ["card", "cpu"]


@dataclass(frozen=True)
class Disk:
    """Bytes that a run leaves, and those that are free."""

    needed: int
    free: int


@dataclass(frozen=True)
class Needs(Preview):
    """The preview for this machine, and whether it can train the preset, said in a sentence.

    `cuda` is whether torch can use a card, `unsloth` is its version, None where it is missing.
    """

    cuda: bool
    unsloth: str | None
    disk: Disk
    has: bool
    sentence: str
