"""What a process can forbid itself: memory, time, files, network, other processes.

Every part is taken where the system has it and left out where it has not; nothing here raises.
Linux: limits, a network namespace, Landlock and seccomp. Other Unix: limits. Windows: nothing; the
time limit alone holds there. It keeps mistakes in, and what a model wrote by chance; code that
means harm needs a virtual machine.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from contextlib import suppress
from typing import Any

# Numbers of system calls and flags; Landlock's are the same on every machine.
CREATE_RULESET, RESTRICT_SELF = 444, 446
NEW_USER, NEW_NET = 0x10000000, 0x40000000
NO_NEW_PRIVILEGES, PARENT_DEATH, SECCOMP, FILTER = 38, 1, 22, 2
# Rights of Landlock that are given up, by the version that brought them: to write and truncate
# files, and to make, move and remove anything. Reading and devices that are open stay.
FILES = {1: 0x1FF2, 2: 0x2000, 3: 0x4000}  # bits 1 and 4 to 12; refer; truncate
CONNECTIONS = {4: 3}  # TCP: bind, connect
SCOPES = {6: 3}  # abstract sockets and signals stay within the process's own kind
# By machine: its mark for seccomp; then clone (threads are let through), and the denied calls:
# socket, execve, execveat, fork, vfork, and clone3, which falls back to clone.
CALLS = {
    "x86_64": (0xC000003E, 56, (41, 59, 322, 57, 58), 435),
    "aarch64": (0xC00000B7, 220, (198, 221, 281), 435),
}
DENIED, NO_SUCH_CALL, ALLOWED = 0x00050001, 0x00050026, 0x7FFF0000  # EPERM, ENOSYS, go on
THREAD = 0x00010000  # clone's flag for a thread
LOAD, EQUAL, ANY_BIT, GIVE = 0x20, 0x15, 0x45, 0x06  # of the filter's little language


def confine(memory: int, processes: bool) -> None:
    """Take from this process what a verifier needs not.

    `processes` forbids new ones too; who copies itself first does that in the copy.
    """
    limit_memory(memory)
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_FSIZE", 0)
    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write raises, as on a full disk
    without_files()
    if processes:
        without_processes()


def _limit(name: str, value: int) -> None:
    """Lower a limit for good, where the system has it."""
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def limit_memory(memory: int) -> None:
    """Let this process take so many bytes more than it has."""
    has = 0
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm") as stream:
        has = int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _limit("RLIMIT_AS", has + memory)


def limit_time(seconds: float) -> None:
    """Let the system end this process after so much more computing, should its parent be gone."""
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def die_with_parent() -> None:
    """Let the system end this process when the thread that started it ends."""
    _process(PARENT_DEATH, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)


def without_network() -> None:
    """Move to a network of its own that leads nowhere; only a process of one thread may."""
    library = _library()
    if library is not None and library.unshare(NEW_NET):
        library.unshare(NEW_USER | NEW_NET)  # who is not root needs a user namespace for it


def landlock() -> int:
    """The version of the system's Landlock, 0 where there is none."""
    library = _library()
    return 0 if library is None else max(0, library.syscall(CREATE_RULESET, None, 0, 1))


def without_files() -> None:
    """Give up changing files, TCP, and signals to others, as far as Landlock knows them."""
    library, version = _library(), landlock()
    if not version:
        return

    def known(rights: dict[int, int]) -> int:
        return sum(each for since, each in rights.items() if version >= since)

    rules = struct.pack("QQQ", known(FILES), known(CONNECTIONS), known(SCOPES))
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = library.syscall(CREATE_RULESET, rules[:size], size, 0)
    if ruleset < 0:
        return
    _process(NO_NEW_PRIVILEGES, 1)
    library.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def without_processes() -> None:
    """Start no other process and open no socket, by seccomp.

    Where there is none a limit forbids processes, and threads with them; root ignores it.
    """
    if not _filter():
        _limit("RLIMIT_NPROC", 0)


def _filter() -> bool:
    """Deny calls by seccomp; whether that was done."""
    if platform.machine() not in CALLS or sys.maxsize < 1 << 32:
        return False
    machine, clone, denied, clone3 = CALLS[platform.machine()]
    # Each line: what to do, where to go if so and if not (lines ahead), a number.
    lines = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, machine), (GIVE, 0, 0, DENIED), (LOAD, 0, 0, 0)]
    for call in denied:
        lines += [(EQUAL, 0, 1, call), (GIVE, 0, 0, DENIED)]
    lines += [(EQUAL, 0, 1, clone3), (GIVE, 0, 0, NO_SUCH_CALL)]
    lines += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, 16), (ANY_BIT, 1, 0, THREAD)]
    lines += [(GIVE, 0, 0, DENIED), (GIVE, 0, 0, ALLOWED)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    head = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(program))
    return _process(NO_NEW_PRIVILEGES, 1) and _process(SECCOMP, FILTER, head)


def _process(option: int, *values: Any) -> bool:
    """prctl, where there is one; whether it did it."""
    library = _library()
    if library is None:
        return False
    padded = [*values, *[0] * (4 - len(values))]
    return not library.prctl(
        option, *(ctypes.c_ulong(v) if isinstance(v, int) else v for v in padded)
    )


def _library() -> Any:
    """The C library on Linux, None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    with suppress(OSError):
        library = ctypes.CDLL(None, use_errno=True)
        library.syscall.restype = ctypes.c_long
        return library
    return None
