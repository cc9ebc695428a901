"""The one client that calls other servers: what it may not reach, and what bad servers may not do to it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from rapport import Site, outbound
from rapport.config import Config
from rapport.errors import ConfigError
from rapport.testing import make_test_site
from tests.security.addresses import FORMS, PUBLIC
from tests.webhooks.receivers import raw_server, receiver


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on whose rapport.toml nothing is allowed."""
    with make_test_site(tmp_path_factory.mktemp("outbound")) as app:
        yield app.site


def allowing(site: Site, *allowed: str, proxy: str = "") -> Site:
    """The same site, where its operator allows some servers of the own network."""
    config = Config(home=site.config.home, outbound_allow=allowed, outbound_proxy=proxy)
    made = Site(config)
    made.db.close()
    return made


def test_no_way_of_writing_an_address_leads_to_this_machine_or_its_network(site: Site):
    seen: list[str] = []
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        listener.settimeout(0.05)
        assert len(FORMS) >= 60
        for form in FORMS:
            for scheme in ("http", "https"):
                with pytest.raises(outbound.Unreachable) as refused:
                    outbound.request(site, "GET", f"{scheme}://{form}:{port}/", seconds=2)
                # Either it is refused, or it is the name of nothing.
                if not isinstance(refused.value, outbound.NotAllowed):
                    assert "no server named" in str(refused.value), form
                    seen.append(form)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert len(seen) <= 8, seen


@pytest.mark.parametrize(
    "url",
    ["file:/etc/passwd", "gopher://127.0.0.1/", "ftp://example.com/", "//example.com/", "example.com", "http://",
     "http:/example.com", "http://example.com:0/", "http://example.com:99999/", "http://[::1/", "http://a\r\nb/",
     "http://example.com/\r\nHost: x", "https://example.com/" + "a" * 3000],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_refused(site: Site, url: str):
    with pytest.raises(outbound.NotAllowed):
        outbound.request(site, "GET", url, resolver=lambda host, port: [PUBLIC])


def test_a_name_is_resolved_once_and_the_connection_goes_to_the_address_that_was_tested(site: Site):
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with receiver() as shop:
        known = allowing(site, shop.at)
        answer = outbound.request(known, "POST", f"http://shop.example:{shop.port}/a b?q=é".replace(" ", "%20"),
                                  body=b"{}", resolver=rebinding)  # fmt: skip
        assert answer.status == 204
        assert asked == ["shop.example"]
        heard = shop.heard[0]
        assert (heard.path, heard.body) == ("/a%20b?q=%C3%A9", b"{}")
        assert heard.headers["host"] == f"shop.example:{shop.port}"
        # One address among public ones that is not public is enough to refuse them all.
        with pytest.raises(outbound.NotAllowed, match="not on the public internet"):
            outbound.request(known, "GET", f"http://shop.example:{shop.port}/",
                             resolver=lambda host, port: [PUBLIC, "127.0.0.2", "127.0.0.1"])  # fmt: skip
        # What is allowed is allowed at that port only, or by that name only.
        with pytest.raises(outbound.NotAllowed):
            outbound.request(known, "GET", f"http://127.0.0.1:{shop.port + 1}/")
        named = allowing(site, f"erp.internal:{shop.port}")
        assert outbound.request(named, "GET", f"http://ERP.internal:{shop.port}/",
                                resolver=lambda host, port: ["127.0.0.1"]).status == 204  # fmt: skip
        with pytest.raises(outbound.NotAllowed):
            outbound.request(named, "GET", f"http://127.0.0.1:{shop.port}/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(site: Site, status: int):
    with receiver() as bait, receiver() as shop:
        known = allowing(site, shop.at, bait.at)
        shop.reply = lambda heard: (status, {"Location": f"http://{bait.at}/latest/meta-data/"}, b"")
        answer = outbound.request(known, "POST", shop.url, body=b"x")
        assert answer.status == status
        assert answer.headers["location"].endswith("/latest/meta-data/")
        assert bait.connections == 0
        assert len(shop.heard) == 1


def _drip_head(connected: socket.socket) -> None:
    connected.recv(1000)
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000:
        connected.sendall(bytes([byte]))
        time.sleep(0.05)


def _drip_body(connected: socket.socket) -> None:
    connected.recv(1000)
    connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    for _ in range(10_000):
        connected.sendall(b"y")
        time.sleep(0.05)


def _silent(connected: socket.socket) -> None:
    connected.recv(1000)
    connected.recv(1000)


def _drip_handshake(connected: socket.socket) -> None:
    connected.recv(1000)
    connected.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03")  # a long greeting begins
    for _ in range(10_000):
        connected.sendall(b"y")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("scheme", "talk"),
    [("http", _drip_head), ("http", _drip_body), ("http", _silent), ("https", _silent), ("https", _drip_handshake)],
)
def test_patience_ends_however_slowly_the_other_side_drips(
    site: Site, scheme: str, talk: Callable[[socket.socket], None]
):
    with raw_server(talk) as port:
        began = time.monotonic()
        with pytest.raises(outbound.Unreachable, match=r"did not answer within 0\.5 seconds"):
            outbound.request(allowing(site, f"127.0.0.1:{port}"), "GET", f"{scheme}://127.0.0.1:{port}/", seconds=0.5)
        assert time.monotonic() - began < 1.5


def test_of_a_gigabyte_no_more_than_the_limit_is_read(site: Site):
    sent = [0]

    def gigabyte(connected: socket.socket) -> None:
        connected.recv(1000)
        connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        while True:
            sent[0] += connected.send(b"y" * 65536)

    with raw_server(gigabyte) as port:
        known = allowing(site, f"127.0.0.1:{port}")
        tracemalloc.start()
        answer = outbound.request(known, "GET", f"http://127.0.0.1:{port}/")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (len(answer.body), answer.cut) == (outbound.MAX_BYTES, True)
    assert sent[0] < 20_000_000, "what the system's buffers hold, and no more"
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-OpenSSH_9\r\n", b"", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
     b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"],
)  # fmt: skip
def test_what_is_no_answer_of_the_web_is_said_to_be_none(site: Site, said: bytes):
    def talk(connected: socket.socket) -> None:
        connected.recv(1000)
        connected.sendall(said)

    with raw_server(talk) as port, pytest.raises(outbound.Unreachable, match="could not be reached"):
        outbound.request(allowing(site, f"127.0.0.1:{port}"), "GET", f"http://127.0.0.1:{port}/", seconds=2)


def test_a_certificate_must_be_for_the_name_that_was_called(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    def call(ca: trustme.CA, certified: str, called: str) -> outbound.Answer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(certified).configure_cert(context)
        with receiver(tls=context) as shop:
            return outbound.request(allowing(site, shop.at), "GET", f"https://{called}:{shop.port}/",
                                    resolver=lambda host, port: ["127.0.0.1"])  # fmt: skip

    assert call(ours, "shop.example", "shop.example").status == 204
    with pytest.raises(outbound.Unreachable, match="does not prove"):
        call(theirs, "shop.example", "shop.example")
    with pytest.raises(outbound.Unreachable, match="does not prove"):
        call(ours, "other.example", "shop.example")


def test_a_proxy_is_asked_for_the_address_that_was_tested(site: Site):
    with receiver() as proxy:
        behind = allowing(site, proxy=f"http://{proxy.at}")
        answer = outbound.request(behind, "POST", "http://shop.example/in", body=b"x",
                                  resolver=lambda host, port: [PUBLIC])  # fmt: skip
        assert answer.status == 204
        assert proxy.heard[0].path == f"http://{PUBLIC}:80/in"
        assert proxy.heard[0].headers["host"] == "shop.example"
        proxy.reply = lambda heard: (403, {}, b"")
        with pytest.raises(outbound.Unreachable, match="403"):
            outbound.request(behind, "GET", "https://shop.example/", resolver=lambda host, port: [PUBLIC])
        assert (proxy.heard[1].method, proxy.heard[1].path) == ("CONNECT", f"{PUBLIC}:443")
        before = proxy.connections
        with pytest.raises(outbound.NotAllowed):
            outbound.request(behind, "GET", "http://10.0.0.1/")
        assert proxy.connections == before
    with pytest.raises(ConfigError, match="outbound_proxy"):
        outbound.request(allowing(site, proxy="socks5://x"), "GET", f"http://{PUBLIC}/")


def test_other_protocols_connect_through_the_same_test(site: Site):
    with receiver() as server:
        with pytest.raises(outbound.NotAllowed):
            outbound.connect(site, "localhost", server.port)
        with outbound.connect(allowing(site, server.at), "127.0.0.1", server.port) as connected:
            assert connected.getpeername()[1] == server.port


def test_nothing_is_left_running_after_a_call(site: Site):
    with receiver() as shop:
        known = allowing(site, shop.at)
        outbound.request(known, "GET", shop.url)
        assert not [each for each in threading.enumerate() if isinstance(each, threading.Timer) and each.is_alive()
                    and not each.finished.is_set()]  # fmt: skip
