"""What goes through the environment's proxy: nothing to this machine, all else as it says."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_here(host: str | None) -> bool:
    """Whether a host's name or address can only mean this machine."""
    name = (host or "").strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        try:
            address = IPv4Address(socket.inet_aton(name))  # 127.1 is an address too
        except (OSError, ValueError):
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address; None where it is asked directly."""
    parts, proxies = urlsplit(url), getproxies()
    if is_here(parts.hostname) or proxy_bypass(parts.netloc):
        return None
    found = proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{found}" if found and "://" not in found else found


@contextmanager
def no_proxy_here(others: bool) -> Iterator[None]:
    """Meanwhile libraries that read the environment ask this machine directly.

    Unless `others` are asked too, no proxy is named at all: some libraries refuse to work beside
    one that they can't use, whomever they ask.
    """
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    if others:
        hosts = ",".join(filter(None, [getproxies().get("no"), *LOOPBACK]))
        changed = {"no_proxy": hosts, "NO_PROXY": hosts}
    else:
        changed = {}
        for name in kept:
            del os.environ[name]
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
        os.environ.update(kept)
