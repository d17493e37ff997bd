"""Several devices that share every step of a work, a process each, begun by torch's launcher."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ltf_lite.core.device import cuda
from ltf_lite.core.errors import LtfError
from ltf_lite.core.parent import die_with_parent
from ltf_lite.core.threads import threads

if TYPE_CHECKING:
    from torch import Tensor

NUMBER, COUNT = "RANK", "WORLD_SIZE"  # torchrun's names
OURS = "LTF_SHARES"
HERE = "127.0.0.1"
KILLED = -9  # how a process ends for which there is no memory
PATIENCE = 24 * 3600  # seconds that others wait for the first, which validates


class RanksError(LtfError, RuntimeError):
    """Processes that share a work, and did not end it."""


class Ranks(NamedTuple):
    """Which process this is, of how many that share a step; alone it is the first of one."""

    number: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that validates and writes."""
        return self.number == 0

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.world > 1:
            import torch.distributed

            torch.distributed.barrier()

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over all processes in the place of each tensor, all of one dtype."""
        if self.world > 1 and tensors:
            import torch.distributed

            flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
            torch.distributed.all_reduce(flat)
            sums = flat.split([tensor.numel() for tensor in tensors])
            for tensor, own in zip(tensors, sums, strict=True):
                tensor.copy_(own.view_as(tensor))


def ranks() -> Ranks:
    """What torch's launcher has told this process, if it was `launch` that began it."""
    if OURS not in os.environ:  # others begin processes with the same variables
        return Ranks()
    return Ranks(int(os.environ.get(NUMBER, "0")), int(os.environ.get(COUNT, "1")))


def meet() -> None:
    """Connect the processes; transformers' own way waits for half an hour at most."""
    import torch.distributed

    backend = "nccl" if cuda() else "gloo"
    torch.distributed.init_process_group(backend, timeout=timedelta(seconds=PATIENCE))


def leave() -> None:
    """Part in order: NCCL complains of a process that ends while it is connected."""
    import torch.distributed

    torch.distributed.destroy_process_group()


def launch(work: Callable[..., Any], count: int, *args: Any) -> Any:
    """What `work(*args)` gives in the first of `count` processes, a device each.

    `work` and its arguments are pickled. Raises what the one that failed first has raised.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("torch.distributed.elastic", "torch.multiprocessing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = LaunchConfig(
        1,
        1,
        count,
        run_id="ltf",
        rdzv_backend="c10d",
        rdzv_endpoint=f"{HERE}:0",
        local_addr=HERE,
        max_restarts=0,  # the same command goes on, and says why it stopped
        # every process finds its card under the number 0
        virtual_local_rank=cuda(),
    )
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with tempfile.TemporaryDirectory() as folder:
        try:
            return elastic_launch(config, _one)(pickle.dumps((work, args)), Path(folder))[0]
        except SignalException:
            raise KeyboardInterrupt from None
        except ChildFailedError as failed:
            codes = [failure.exitcode for failure in failed.failures.values()]
            raise _first(codes, Path(folder)) from None
        finally:  # the launcher has put its own in their places
            for each, handler in before.items():
                signal.signal(each, handler)


def _first(codes: Sequence[int], folder: Path) -> Exception:
    """What failed first: the others lose the connection to it, or are ended by the launcher."""
    said = sorted(folder.glob("error-*"), key=lambda file: file.stat().st_mtime_ns)
    killed = [code for code in codes if code == KILLED]
    if said and not killed:
        error: Exception = pickle.loads(said[0].read_bytes())
        return error
    code = [*killed, *codes][0]
    return RanksError(
        f"one of the processes that share the work was ended from outside (exit code {code}; "
        "out of memory?); the same command goes on where it stopped"
    )


def _one(told: bytes, folder: Path) -> Any:
    """Do one process's part, silently if it is not the first; why it failed goes to a file.

    What it does is unpickled here, as that imports what has a lot to say.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    os.environ[OURS] = "1"
    # where it is not set, accelerate sets it to 1, and torch's threads too
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads() // ranks().world))
    die_with_parent()
    if not ranks().first:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        meet()
        work, args = pickle.loads(told)
        found = work(*args)
        leave()
        return found
    except Exception as error:
        (folder / f"error-{ranks().number}").write_bytes(_pickled(error))
        raise


def _pickled(error: Exception) -> bytes:
    try:
        return pickle.dumps(error)
    except Exception:  # some hold what cannot be pickled
        return pickle.dumps(RanksError(str(error)))
