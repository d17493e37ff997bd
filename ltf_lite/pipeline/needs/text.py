"""What `--dry-run` says, for a person."""

from __future__ import annotations

from ltf_lite.pipeline.needs.fits import advice, in_words
from ltf_lite.pipeline.needs.types import Peak, Preview, Side


def preview_text(said: Preview) -> str:
    """What `--dry-run` says, for a person; in columns, on a card and on a CPU without one."""
    titles = {"card": "on a card", "cpu": "on this CPU"}
    bits = " in 4 bits" if said.load_in_4bit else ""
    lines = [f"{said.preset}: tuning {said.base}{bits}, estimated, not measured"]
    lines.append(f"{'':<44}" + "".join(f"{titles[side]:>14}" for side in said.sides))
    for name, sizes in _table(said).items():
        cells = (in_words(sizes[side]) if side in sizes else "–" for side in said.sides)
        lines.append(f"{name:<44}" + "".join(f"{cell:>14}" for cell in cells))
    here = said.here
    if here.free is not None and said.fits is None:
        place = f"free on {here.card}" if here.card else "of memory free, no card"
        lines.append(f"here: {in_words(here.free)} {place}: {verdict(here.fits)}")
    lines += [f"a card of {gb} GB: {verdict(found)}" for gb, found in said.cards.items()]
    if said.fits is False:
        lines.append(advice(said.nearest))
    return "\n".join(lines)


def _table(said: Preview) -> dict[str, dict[Side, int]]:
    """A line of the table → its sizes on a card and on a CPU: the parts first, then the peaks."""
    table: dict[str, dict[Side, int]] = {}
    for side in said.sides:
        for name, size in said.peaks(side).whole.parts.items():
            table.setdefault(name, {})[side] = size
    for side in said.sides:
        for peak in (said.peaks(side).whole, said.peaks(side).smallest):
            table.setdefault(f"peak, {peak.at_once} at once", {})[side] = peak.total
    return table


def verdict(found: Peak | None) -> str:
    return f"fits, {found.at_once} at once" if found else "does not fit"
