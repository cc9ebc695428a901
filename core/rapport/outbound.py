"""Calls to other servers: Rapport's one HTTP client, which reaches the internet and never the network it stands in.

Whoever may write an address that Rapport calls (a webhook, a file to fetch) could otherwise have it call what only this
machine can reach: the metadata of a cloud, a database, the router. So a name is resolved once, each of its addresses
must be public, and the connection goes to the very address that was tested. Redirects are answers like any other, time
and size are limited, and nothing that was not written here is sent.

    answer = request(site, "POST", "https://example.com/orders", body=b"{}")
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from rapport.errors import ConfigError, RapportError
from rapport.i18n.catalogs import _

if TYPE_CHECKING:
    from rapport.config import Config
    from rapport.site import Site

__all__ = ["Answer", "NotAllowed", "Unreachable", "connect", "request"]

SECONDS = 15.0
MAX_BYTES = 64 * 1024
MAX_URL = 2000
USER_AGENT = "Rapport"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?\.?|[0-9a-f:.]+")
_NETWORK = ipaddress.ip_network
_GLOBAL_UNICAST = _NETWORK("2000::/3")
_NAT64 = _NETWORK("64:ff9b::/96")
_NOT_FOR_US = tuple(
    map(_NETWORK, ("192.0.0.0/24", "192.88.99.0/24", "2001:db8::/32", "3fff::/20"))
)  # protocol assignments, 6to4 relays, documentation: some versions of Python call them global


class Unreachable(RapportError):
    """The other side did not answer, or not properly. It may work in a while."""


class NotAllowed(Unreachable):
    """This address may not be called from here, now or later."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the names of headers are in small letters, the body ends where the limit is."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool
    """Whether there was more of the body than was read."""

    @property
    def text(self) -> str:
        """The body as text, whatever it is made of; for showing, not for deciding."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as it is named in the request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"http": 80, "https": 443}


def request(
    site: Site, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
    seconds: float = SECONDS, limit: int = MAX_BYTES, resolver: Resolver | None = None,
) -> Answer:  # fmt: skip
    """Send one request and return whatever is answered, redirects and errors included.

    Unreachable when there is no answer within `seconds`, name and connection included; NotAllowed when the address may
    not be called. Never call it within a unit of work: the database would wait for somebody else's server.
    """
    target = parse_url(url)
    deadline = _Deadline(seconds)
    sent = {"User-Agent": USER_AGENT, **(headers or {}), "Host": target.authority, "Connection": "close"}
    with _said(target, deadline):
        addresses = permitted(site.config, target.host, target.port, resolver)
        connection, path = _connection(site.config, target, addresses, deadline)
        with deadline.upon(connection.sock):
            try:
                connection.request(method, path, body or None, sent)
                response = connection.getresponse()
                content = response.read(limit + 1)
                if len(content) <= limit and response.length:
                    raise http.client.IncompleteRead(content, response.length)
            finally:
                connection.close()
        deadline.left()
    heard = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, heard, content[:limit], len(content) > limit)


def connect(
    site: Site, host: str, port: int, *, seconds: float = SECONDS, resolver: Resolver | None = None
) -> socket.socket:
    """A connection for what is not HTTP, such as mail servers, with the same test of addresses."""
    target = Target("https", _ascii(host), port, "")
    deadline = _Deadline(seconds)
    with _said(target, deadline):
        return _socket(permitted(site.config, target.host, port, resolver), port, deadline)


def parse_url(url: str) -> Target:
    """Take a URL apart; NotAllowed for what is none, or hides where it leads."""
    if _UNFIT.search(url) or len(url) > MAX_URL:
        raise NotAllowed(_("The address has characters that no address has, or is too long."))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotAllowed(_("That is no address of the web.")) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise NotAllowed(_("An address must begin with https:// or http:// and name a server."))
    if "@" in parts.netloc:
        raise NotAllowed(_("An address must not contain a user or a password."))
    if port == 0:
        raise NotAllowed(_("That is no address of the web."))
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = f"?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else ""
    return Target(parts.scheme, _ascii(parts.hostname), port or _PORTS[parts.scheme], path + query)


def _ascii(host: str) -> str:
    """A host's name as resolvers know it; names in other scripts in their ASCII form."""
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name.lower()):
        raise NotAllowed(_("“%(host)s” cannot be the name of a server.", host=host[:100]))
    return name.lower()


# Which addresses may be called ---------------------------------------------------------------------------------------


def permitted(config: Config, host: str, port: int, resolver: Resolver | None = None) -> list[Address]:
    """The addresses of a host, tested; NotAllowed when a single one is not public and was not allowed by the operator.

    `outbound_allow` in rapport.toml names exceptions as `host:port` or `address:port`.
    """
    found = [ipaddress.ip_address(each) for each in dict.fromkeys((resolver or resolve)(host, port))]
    allowed = {each.lower() for each in config.outbound_allow}
    for address in found:
        named = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
        if not is_public(address) and not {named, f"{host}:{port}"} & allowed:
            raise NotAllowed(
                _("“%(host)s” is not on the public internet, so Rapport does not call it. An operator can allow it in "
                  "rapport.toml: outbound_allow.", host=host)
            )  # fmt: skip
    return found


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for a host's addresses."""
    return [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet's, and so are those hidden in it."""
    if any(address in network for network in _NOT_FOR_US if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_UNICAST and address.scope_id is None and all(map(is_public, _carried(address)))


def _carried(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """The addresses of version 4 that one of version 6 leads to: 6to4, Teredo, ISATAP."""
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if (int(address) >> 32) & 0xFFFF_FFFF in {0x0000_5EFE, 0x0200_5EFE}:
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


# Connecting ----------------------------------------------------------------------------------------------------------


def _connection(
    config: Config, target: Target, addresses: Sequence[Address], deadline: _Deadline
) -> tuple[http.client.HTTPConnection, str]:
    """A connection to one of the tested addresses, and how to name the path on it."""
    connection = http.client.HTTPConnection(target.host, target.port)
    path = target.path
    if not config.outbound_proxy:
        connection.sock = _socket(addresses, target.port, deadline)
    else:
        # Also the proxy is asked for the tested address, so that no other name server decides anew.
        at = f"[{addresses[0]}]" if addresses[0].version == 6 else str(addresses[0])
        proxy, credentials = _proxy(config.outbound_proxy)
        if target.scheme == "https":
            connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=deadline.left())
            connection.set_tunnel(at, target.port, credentials)
            connection.connect()
        else:
            if credentials:
                raise ConfigError(_("outbound_proxy has a password: such a proxy is used for https:// only."))
            connection.sock = socket.create_connection((proxy.host, proxy.port), deadline.left())
            path = f"http://{at}:{target.port}{path}"
    if target.scheme == "https":
        plain = connection.sock
        plain.settimeout(deadline.left())
        try:
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=target.host.rstrip("."))
        except BaseException:
            plain.close()
            raise
    connection.sock.settimeout(deadline.left())
    return connection, path


def _proxy(url: str) -> tuple[Target, dict[str, str]]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigError("outbound_proxy in rapport.toml must look like http://proxy.example.com:3128.")
    headers = {}
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return Target("http", parts.hostname, parts.port or 3128, ""), headers


def _socket(addresses: Iterable[Address], port: int, deadline: _Deadline) -> socket.socket:
    """Connect to the first address that answers. The addresses are numbers, so nothing is resolved again."""
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((str(address), port), deadline.left())
        except OSError as error:
            failure = error
    raise failure


class _Deadline:
    """The end of our patience. A server that sends a byte now and then would outlast every limit on single waits."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that remain; TimeoutError when none do."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._end

    @contextmanager
    def upon(self, connected: socket.socket) -> Iterator[None]:
        """Cut the connection when time is up, whoever is waiting on it."""
        timer = threading.Timer(self.left(), _cut, [connected])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _cut(connected: socket.socket) -> None:
    try:
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # below TLS, whose state belongs to the reading thread
    except OSError:  # it has just ended by itself
        return


@contextmanager
def _said(target: Target, deadline: _Deadline) -> Iterator[None]:
    """What goes wrong between two machines, in words."""
    host = target.host
    try:
        yield
    except socket.gaierror:
        raise Unreachable(_("There is no server named “%(host)s”.", host=host)) from None
    except UnicodeError:
        raise NotAllowed(_("“%(host)s” cannot be the name of a server.", host=host)) from None
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(
            _("“%(host)s” does not prove that it is the server it claims to be: %(why)s.", host=host,
              why=error.verify_message)
        ) from None  # fmt: skip
    except (OSError, http.client.HTTPException, ValueError) as error:
        if deadline.passed or isinstance(error, TimeoutError):
            text = _(
                "“%(host)s” did not answer within %(seconds)s seconds.", host=host, seconds=f"{deadline.seconds:g}"
            )
            raise Unreachable(text) from None
        why = str(error) or type(error).__name__
        raise Unreachable(_("“%(host)s” could not be reached: %(why)s.", host=host, why=why[:200])) from None
