"""Ray clusters on this machine, and workers on them that are ended or that lie."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

PATIENCE = 300.0  # seconds for anything to happen
ROOM = 80 * 2**20  # bytes of a node's store
WORKER = "ltf_lite.pipeline.executors.ray.worker"
# What a process of the node does first: once the worker's module is there, its class is changed.
SPOILT = f"""
import importlib.util, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != {WORKER!r}:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            own = module.Worker.work
            BODY
            module.Worker.work = work
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


@contextmanager
def cluster(cores: int = 1) -> Iterator[Any]:
    """A cluster of one node with so many cores."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    own = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": ROOM}
    found = Cluster(initialize_head=True, head_node_args=own)
    try:
        yield found
    finally:
        found.shutdown()


@contextmanager
def joined(found: Any, cores: int = 1, env: dict[str, str] | None = None) -> Iterator[Any]:
    """Another node meanwhile, with an environment of its own."""
    node = found.add_node(num_cpus=cores, object_store_memory=ROOM, env_vars=env or {})
    try:
        yield node
    finally:
        with suppress(Exception):  # a test may have lost it
            found.remove_node(node, allow_graceful=False)


def spoilt(folder: Path, body: str) -> dict[str, str]:
    """The environment of a node whose workers do this in place of `work`; `own` is what they do."""
    folder.mkdir()
    indented = body.strip().replace("\n", "\n            ")
    (folder / "sitecustomize.py").write_text(SPOILT.replace("BODY", indented))
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def processes(found: Any) -> list[psutil.Process]:
    """The workers of a cluster that are there."""
    every = []
    for node in found.list_all_nodes():
        for info in node.all_processes.get("raylet", ()):
            with suppress(psutil.Error):
                every += psutil.Process(info.process.pid).children(recursive=True)
    return [each for each in every if _title(each) == "ray::Worker"]


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline()).strip()
    return ""


def until(true: Callable[[], Any]) -> Any:
    """What is true in the end."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
