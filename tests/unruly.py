"""Functions that do what a worker must survive, as a person's file would have them."""

from __future__ import annotations

CODE = """
import os, sys, time
from dataclasses import dataclass

print("a print at the start", flush=True)
kept = []


@dataclass
class Pair:
    a: int


def add(a, b): return a + b
def echo(value): return value
def length(text): return len(text)
def keep(value): kept.append(value); return list(kept)
def prints(n):
    print("{}" * n); os.write(1, b"x\\n"); os.write(2, b"x"); sys.stderr.write("y"); return n
def reads(): return sys.stdin.read()
def hang():
    while True: pass
def sleep(seconds): time.sleep(seconds); return seconds
def power(): return len(str(9**9**9))
def leave(): sys.exit(3)
def stop(): os._exit(3)
def kill(): os.kill(os.getpid(), 9)
def crash():
    import ctypes
    ctypes.string_at(0)
def deep(n): return deep(n + 1)
def bomb(): return len(bytearray(8 << 30))
def grow():
    kept = []
    while True: kept.append("x" * (1 << 24))
def large(n): return "x" * n
def no_json(): return {1, 2}
def raises(): raise ValueError("a\\nb" * 1000)
def odd():
    class Odd(Exception):
        def __str__(self): raise KeyError
    raise Odd
def write(path): open(path, "w").write("x")
def append(path): open(path, "a").write("x")
def remove(path): os.remove(path)
def make(path): os.mkdir(path)
def here(): open("here", "w").write("x")
def look(): return [os.getcwd(), os.listdir("."), dict(os.environ)]
def connect(port):
    import socket
    socket.create_connection(("127.0.0.1", port), 0.5).send(b"x")
def datagram():
    import socket
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))
def start(): return os.system("true")
def fork(): return os.fork()
def strike(pid): os.kill(pid, 9)
def thread():
    import threading
    said = []
    one = threading.Thread(target=said.append, args=(1,)); one.start(); one.join()
    return said
def closes(): os.closerange(3, 50); return 1
_hidden = add
"""
