"""Another package on the path: its modules, and the entry points by which it adds plugins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def another_package(
    folder: Path, modules: Mapping[str, str], entries: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write its modules (name → source) and entry points (group → name → module:attribute).

    It looks like what pip installs: the modules, and a folder of metadata beside them.
    """
    about = folder / "another-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n")
    told = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in own.items())
        for group, own in entries.items()
    )
    (about / "entry_points.txt").write_text("\n".join(told))
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    return folder


def on_path(*folders: Path) -> dict[str, str]:
    """An environment in which Python looks into these folders first."""
    way = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, way))}
