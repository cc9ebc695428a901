"""Ways of writing an address that lead to this machine, its network, or nowhere; and a listener that hears of none."""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PUBLIC = "93.184.216.34"
FORMS = [
    # this machine
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "017700000001", "0177.0.0.1", "0x7f000001",
    "0x7f.0.0.1", "0x7f.1", "0177.0.0x1", "127.0.0.1.", "0.0.0.0", "0", "0.0.0.1", "localhost", "localhost.",
    "LOCALHOST", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:0:127.0.0.1]",
    # other scripts
    "１２７.０.０.１", "127。0。0。1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "①②⑦.⓪.⓪.①",
    # what is carried in version 6: NAT64, 6to4, Teredo, ISATAP
    "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::]", "[2002:a00:1::1]", "[2001:0:7f00:1:0:0:f5ff:fffe]", "[2001:0:5db8:d822:0:0:80ff:fffe]",
    "[2a00:1:2:3:0:5efe:127.0.0.1]", "[2a00:1:2:3:200:5efe:10.0.0.1]",
    # the network it stands in, and the clouds' metadata
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "169.254.0.1",
    "2852039166", "0xa9fea9fe", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "[fd00:ec2::254]", "[fc00::1]", "[fe80::1]", "[fe80::1%25lo]", "[fec0::1]", "[ff02::1]", "[100::1]",
    "[2001:db8::1]", "[3fff::1]", "[5f00::1]",
    # who hides where it leads
    "user@127.0.0.1", "example.com:80@127.0.0.1", f"{PUBLIC}@127.0.0.1", f"{PUBLIC}%00@127.0.0.1",
    f"{PUBLIC}\\@127.0.0.1", "exa mple.com", "127.0.0.1\t", "127.0.0.1%2f", "-", "..", "",
]  # fmt: skip


@dataclass
class Watch:
    """What this process asked of the network, and who of it was let in."""

    port: int
    """Where a listener waits, on every address of this machine."""
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Whom it connected to, or would have: beyond this machine nothing gets out."""
    on: bool = True
    accepted: queue.Queue[int] = field(default_factory=queue.Queue)

    def heard(self) -> int:
        """How many connections the listener saw: it takes them in their order, so ours is the last of them."""
        seen = -1
        with socket.socket() as ours:
            ours.bind(("127.0.0.1", 0))
            watching, self.on = self.on, False
            ours.connect(("127.0.0.1", self.port))
            self.on = watching
            port = -1
            while port != ours.getsockname()[1]:
                port = self.accepted.get(timeout=10)
                seen += 1
        return seen

    def beside(self, *known: tuple[str, int]) -> list[tuple[str, int]]:
        """Whom it asked, without those it may ask."""
        return [each for each in self.asked if each not in known]


_watching: list[Watch] = []
_hooked: list[bool] = []


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    watching = [watch for watch in _watching if watch.on]
    host, port = arguments[1][:2]
    for watch in watching:
        watch.asked.append((host, port))
    address = ipaddress.ip_address(host.partition("%")[0])
    if watching and not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
        raise ConnectionRefusedError(f"{host} is not asked from within a test")


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Listen on this machine, see every connection that is asked for, and let none out of it."""
    if not _hooked:  # such a hook stays for the life of the process, so it is set once
        sys.addaudithook(_look)
        _hooked.append(True)
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        watch = Watch(listening.getsockname()[1])

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connected, address = listening.accept()
                    watch.accepted.put(address[1])
                    connected.close()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        _watching.append(watch)
        try:
            yield watch
        finally:
            _watching.remove(watch)
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)
