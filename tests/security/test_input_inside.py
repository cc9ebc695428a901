"""Addresses that lead inside, given to everything that calls another server: nothing inside hears of it."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from rapport_email import cleaning

from rapport import Invalid, RapportError, outbound
from rapport.entities import entity_class
from rapport.testing import TestApp
from rapport.testing.values import Examples
from tests.security.addresses import FORMS, PUBLIC, Watch, watched
from tests.security.kinds import one_of_each, whole_site
from tests.torture import LONG, tally, tries
from tests.webhooks.receivers import Receiver, receiver

SCHEMES = ("http", "https") if LONG else ("http",)
INSIDE = ("127.0.0.1", "127.1", "0x7f.1", "localhost", "[::1]", "2130706433", "[::ffff:127.0.0.1]")
"""Forms that reach the listener where nobody tests them."""


# What calls another server -------------------------------------------------------------------------------------------


def webhooks(app: TestApp, clock: Any, urls: Sequence[str]) -> set[str]:
    """They are tried, told of a change, told again, and told of what they missed."""
    client, made, refused = app.client, [], set()
    for number, url in enumerate(urls):
        given = {"name": f"Number {number}", "url": url, "events": ["customer.*"]}
        answer = client.post("/api/v1/webhook", json=given)
        assert answer.status_code in {201, 422}, answer.get_data(as_text=True)
        if answer.status_code == 201:
            made.append(f"/api/v1/webhook/{answer.get_json()['id']}")
        else:
            refused.add(url)
    began = clock.now.isoformat()
    for each in made:
        assert client.post(f"{each}/test", json={}).status_code == 200
    app.create_customer(name="Ada")
    for each in made:
        assert client.post(f"{each}/replay", json={"since": began}).status_code == 200
    clock.forward(hours=1)
    app.settle()
    for each in made:  # what is switched off is told of nothing more
        version = client.get(each).headers["ETag"]
        assert client.patch(each, json={"active": False}, headers={"If-Match": version}).status_code == 200
    return refused


def workflows(app: TestApp, clock: Any, urls: Sequence[str]) -> set[str]:
    """A step of a workflow tells another server, and again an hour later."""
    from rapport.workflows import Workflow

    made, refused, names = [], set(), uuid4().hex
    for number, url in enumerate(urls):
        telling = {"entry": [{"webhook": {"url": url}}], "final": True}
        told = {
            "name": f"tell_{names}_{number}", "entity": "customer", "start": {"event": "created"},
            "initial": "telling", "states": {"telling": telling},
        }  # fmt: skip
        try:
            with app.site.write(app.admin) as unit:
                made.append(unit.create(Workflow, {"source": json.dumps(told)}).id)
        except Invalid:
            refused.add(url)
    app.create_customer(name="Bob")
    clock.forward(hours=1)
    app.settle()
    with app.site.write(app.admin) as unit:
        for each in made:
            unit.archive(unit.get(Workflow, each))
    return refused


def telephones(app: TestApp, _clock: Any, urls: Sequence[str]) -> set[str]:
    """A telephone system is asked to dial, to transfer and to hang up."""
    from rapport_callcenter.telephony import Dialling
    from rapport_callcenter.webhook import WEBHOOK

    for url in urls:
        with app.site.db.write() as connection:
            app.site.settings.set(connection, "callcenter.webhook_secret", "whsec_" + "QUFB" * 11)
            app.site.settings.set(connection, "callcenter.webhook_url", url)
        for what in ("dial", "transfer", "hang_up"):
            with suppress(RapportError):
                WEBHOOK.ask(Dialling("a-call", what, number="+442079460000", extension="101"), app.site)
    return set()


FEATURES: Mapping[str, Callable[[TestApp, Any, Sequence[str]], set[str]]] = {
    "core/rapport/builtin/webhooks/sending.py": webhooks,
    "core/rapport/workflows/actions.py": workflows,
    "plugins/callcenter/rapport_callcenter/webhook.py": telephones,
}
"""Every module that calls other servers, with a way to have it call what somebody wrote. Those that are missing here
are found by tests/architecture/test_gates.py. Each returns what it was not even allowed to write down."""

OTHER_WAYS = {
    "core/rapport/mail.py": "mail_url stands in rapport.toml",
    "cli/rapport_cli/serve.py": "asks this machine for a free port",
    "cli/rapport_cli/doctor.py": "mail_url stands in rapport.toml",
    "plugins/email/rapport_email/smtp.py": "an administrator names the server; see below",
    "plugins/email/rapport_email/imap.py": "an administrator names the server; see below",
    "plugins/email/rapport_email/testing.py": "servers of the tests' own",
}
"""Every module that reaches out of the machine by itself, and who says where to."""


# Where it must not lead ----------------------------------------------------------------------------------------------


@pytest.fixture
def urls() -> Callable[[Watch], list[str]]:
    return lambda watch: [f"{scheme}://{form}:{watch.port}/in" for form in FORMS for scheme in SCHEMES]


@pytest.fixture
def app(make_app: Any) -> Iterator[TestApp]:
    with make_app(plugins=["callcenter", "email"]) as made:
        yield made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow that was just made is known at the very next change."""
    monkeypatch.setattr("rapport.workflows.charts.SECONDS", 0.0)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that came to the one client, in their order."""
    came: list[str] = []
    usual = outbound.parse_url
    monkeypatch.setattr(outbound, "parse_url", lambda url: came.append(url) or usual(url))
    return came


one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@one_database
@pytest.mark.parametrize("feature", FEATURES)
def test_no_form_of_an_address_leads_inside(
    feature: str, app: TestApp, clock: Any, urls: Any, called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(FORMS) >= 60
    with watched() as watch:
        tried = urls(watch)
        refused = FEATURES[feature](app, clock, tried)
        assert {*called, *refused} >= set(tried)
        assert (watch.asked, watch.heard()) == ([], 0)
        monkeypatch.setattr(outbound, "is_public", lambda address: True)
        caught = 0
        for form in INSIDE:
            before, url = len(watch.asked), f"http://{form}:{watch.port}/in"
            if url not in FEATURES[feature](app, clock, [url]):
                assert len(watch.asked) > before
                assert watch.heard() > 0, form
                caught += 1
        assert caught >= 1
    tally("B9", f"forms of addresses: {FEATURES[feature].__name__}", tried=len(tried), connections=0, control=caught)


@contextmanager
def turning(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """A name server whose answers change: a name is of the internet when first asked for, of this machine ever after.

    `both` is both at once. How often each name was asked for is given.
    """
    asked: dict[str, int] = {}
    usual = socket.getaddrinfo

    def answers(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        if not str(host).endswith(".turns.example"):
            return usual(host, port, *rest, **named)
        asked[host] = asked.get(host, 0) + 1
        first = asked[host] == 1
        said = {"both": [PUBLIC, "127.0.0.1"], "back": ["127.0.0.1"] if first else [PUBLIC]}.get(
            str(host).partition("-")[0], [PUBLIC] if first else ["127.0.0.1"]
        )
        return [found for each in said for found in usual(each, port, *rest, **named)]

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", answers)
        yield asked


@one_database
@pytest.mark.parametrize("feature", FEATURES)
def test_a_name_that_turns_between_the_test_and_the_call_leads_nowhere(
    feature: str, app: TestApp, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{kind}-{number}" for kind in ("later", "both", "back") for number in range(10)]

    def call(watch: Watch, prefix: str = "") -> None:
        FEATURES[feature](app, clock, [f"http://{each}{prefix}.turns.example:{watch.port}/" for each in names])

    with watched() as watch, turning(monkeypatch) as asked:
        call(watch)
        assert watch.beside((PUBLIC, watch.port)) == []
        assert watch.heard() == 0
        # Each call asked once for its name: the one that was asked for first went to what was tested, and that is out.
        assert len(asked) == len(names)
        assert (PUBLIC, watch.port) in watch.asked
        # The defect: the name is tested, and then handed on to be asked for again.
        tested = outbound.permitted
        monkeypatch.setattr(outbound, "permitted", lambda config, host, *rest: tested(config, host, *rest) and [host])
        call(watch, "-again")
        caught = watch.heard()
        assert caught >= 10
    tally("B9", f"names that turn: {FEATURES[feature].__name__}", tried=len(names), connections=0, control=caught)


@one_database
@pytest.mark.parametrize("feature", FEATURES)
def test_no_redirect_is_followed(feature: str, make_app: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched() as watch, receiver() as shop:
        inside = f"127.0.0.1:{watch.port}"
        targets = ["http://169.254.169.254/latest/meta-data/", f"http://{inside}/", f"//{inside}/",
                   f"https://{inside}/", f"http://localhost:{watch.port}/", f"http://[::1]:{watch.port}/"]  # fmt: skip
        asked = [(status, target) for status in (301, 302, 303, 307, 308) for target in targets]
        _redirect(shop, asked)
        urls = [f"http://{shop.at}/{number}" for number in range(len(asked))]
        with make_app(plugins=["callcenter"], outbound_allow=(shop.at,)) as app:
            FEATURES[feature](app, clock, urls)
            assert len({each.path for each in shop.heard}) == len(asked)
            assert watch.beside(("127.0.0.1", shop.port)) == []
            assert watch.heard() == 0
            # The defect: a client that goes where an answer sends it.
            monkeypatch.setattr(http.client.HTTPConnection, "getresponse", _following())
            FEATURES[feature](app, clock, urls)
            caught = len(set(watch.beside(("127.0.0.1", shop.port))))
            assert caught >= 2
            assert watch.heard() > 0
    tally("B9", f"redirects: {FEATURES[feature].__name__}", tried=len(asked), connections=0, control=caught)


def _redirect(shop: Receiver, asked: Sequence[tuple[int, str]]) -> None:
    def reply(heard: Any) -> tuple[int, dict[str, str], bytes]:
        status, target = asked[int(heard.path.strip("/"))]
        return status, {"Location": target}, b""

    shop.reply = reply


def _following() -> Callable[[http.client.HTTPConnection], http.client.HTTPResponse]:
    usual = http.client.HTTPConnection.getresponse

    def getresponse(self: http.client.HTTPConnection) -> http.client.HTTPResponse:
        answer = usual(self)
        parts = urlsplit(answer.getheader("Location") or "")
        if parts.hostname:
            with suppress(OSError), socket.create_connection((parts.hostname, parts.port or 80), 2):
                pass
        return answer

    return getresponse


# Mail servers --------------------------------------------------------------------------------------------------------


@one_database
def test_nobody_but_an_administrator_names_a_mail_server(app: TestApp, clock: Any) -> None:
    actors = app.actors()
    tried = 0
    with watched() as watch:
        hosts = [form.strip("[]") for form in FORMS if form]
        for actor in (actors.manager, actors.member, actors.viewer):
            own = {"email": f"{actor.id}@shop.example", "owner_id": str(actor.id), "folders": ["INBOX"]}
            made = app.client.post("/api/v1/email.account", json=own).get_json()["id"]
            client, browser = app.api(actor), app.browser(actor)
            for number, host in enumerate(hosts):
                there = {"smtp_host": host, "smtp_port": watch.port, "imap_host": host, "imap_port": watch.port}
                new = {"email": f"n{number}@shop.example", **there}
                version = {"If-Match": f'"{app.client.get(f"/api/v1/email.account/{made}").get_json()["version"]}"'}
                assert client.post("/api/v1/email.account", json=new).status_code == 403
                assert client.patch(f"/api/v1/email.account/{made}", json=there, headers=version).status_code == 403
                tried += 2
            for host in hosts[:: len(hosts) // 3]:
                there = {"smtp_host": host, "smtp_port": watch.port, "imap_host": host, "imap_port": watch.port}
                for page in (f"/email.account/{made}/edit", "/email.account/new", f"/email/account/{made}/own"):
                    app.submit(browser, page, there)
                    tried += 1
                app.submit(browser, f"/email/account/{made}/try", {})
                app.submit(browser, f"/email/account/{made}/fetch", {})
                app.settle()
            with app.site.read(app.admin) as reader:
                from rapport_email import Account

                assert {(each.smtp_host, each.imap_host) for each in reader.all(Account)} == {("", "")}
        assert (watch.asked, watch.heard()) == ([], 0)
        # What an administrator names is asked: the listener would have seen the others.
        there = {"smtp_host": "127.0.0.1", "smtp_port": watch.port, "smtp_security": "none"}
        version = {"If-Match": f'"{app.client.get(f"/api/v1/email.account/{made}").get_json()["version"]}"'}
        assert app.client.patch(f"/api/v1/email.account/{made}", json=there, headers=version).status_code == 200
        app.submit(app.browser(), f"/email/account/{made}/try", {})
        caught = watch.heard()
        assert caught > 0
    tally("B9", "mail servers named by others than administrators", tried=tried, connections=0, control=caught)


# Addresses in what is only shown, drawn or taken in ------------------------------------------------------------------


def test_what_only_mentions_an_address_calls_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address in every text of every kind of record, and in mails and files: pages, papers and files are made."""
    with watched() as watch, whole_site(tmp_path) as app:
        here = f"http://127.0.0.1:{watch.port}"
        numbers = itertools.count(1)

        def value(field: Any, usual: Any) -> Any:
            if field.choices or field.target:
                return usual
            number = next(numbers)
            written = {"text": f"{here}/{number}", "url": f"{here}/{number}",
                       "longtext": f'{here}/{number} <img src="{here}/b.png"> url({here}/c)'}  # fmt: skip
            return written.get(field.kind, usual)

        made = one_of_each(app, value)
        with app.site.write(app.admin) as unit:  # a quote's product takes no such code
            quote = Examples().make(unit, entity_class("sales.quote")).id
        fields = next(numbers) - 1
        app.settle()
        browser, opened = app.browser(), 0
        for name, record_id in sorted(made.items())[:: tries(6, long=1)]:
            for page in (f"/{name}/{record_id}", f"/{name}/export?format=csv", f"/{name}/export?format=xlsx"):
                with browser.get(page) as answer:
                    assert answer.status_code < 500, page
                opened += 1
        paper = browser.get(f"/sales/quotes/{quote}/pdf")
        assert paper.data[:5] == b"%PDF-"
        opened += 1 + _taken_in(app, here)
        assert fields >= 100
        assert watch.asked == []
        assert watch.heard() == 0
        # The defect: mails whose pictures are fetched before they are shown.
        monkeypatch.setattr(cleaning, "clean", _fetching)
        cleaning.framed(f'<img src="{here}/p.png">', [])
        assert watch.heard() == 1
    tally("B9", "pages, papers and files with addresses in them", tried=opened, fields=fields, connections=0, control=1)


def _fetching(page: str, *, images: bool = False) -> str:
    parts = urlsplit(page.split('"')[1])
    with closing(http.client.HTTPConnection(parts.netloc, timeout=2)) as connection:
        connection.request("GET", parts.path)
    return page


def _taken_in(app: TestApp, here: str) -> int:
    """Mails with pictures from elsewhere, and lists whose cells and pictures are elsewhere."""
    browser = app.browser()
    with browser.get("/customer/export?format=xlsx") as answer:
        ours = answer.data
    page = f'<img src="{here}/p.png"><link rel=stylesheet href="{here}/s.css"><iframe src="{here}/f"></iframe>'
    for images in (False, True):
        cleaning.clean(page, images=images)
        cleaning.framed(page, [], images=images)
    card = (
        f"BEGIN:VCARD\nVERSION:4.0\nFN:Ada\nPHOTO;VALUE=uri:{here}/p.jpg\nURL:{here}\nSOURCE:{here}/card\nEND:VCARD\n"
    )
    table = f'Name,Website\nAda,"=WEBSERVICE(""{here}/w"")"\n'
    entity = f'<?xml version="1.0"?><!DOCTYPE a SYSTEM "{here}/a.dtd" [<!ENTITY b SYSTEM "{here}/b">]><a>&b;</a>'
    files = {
        "a.vcf": card.encode(),
        "a.csv": table.encode(),
        "a.xlsx": _workbook(ours, here, entity),
        "a.xml": entity.encode(),
    }
    for name, data in files.items():
        with app.submit(browser, "/import", {"entity": "customer", "file": (BytesIO(data), name)}) as answer:
            assert answer.status_code in {302, 422}, name
        app.settle()
    return 4 + len(files)


def _workbook(ours: bytes, here: str, entity: str) -> bytes:
    """A workbook whose sheet has an entity from elsewhere, and that is linked to another."""
    changed = BytesIO()
    with zipfile.ZipFile(BytesIO(ours)) as usual, zipfile.ZipFile(changed, "w") as bad:
        for name in usual.namelist():
            head, _mark, rest = usual.read(name).decode().partition("?>")
            doctype = entity[entity.index("<!DOCTYPE") : entity.index("<a>")] if "sheet1" in name else ""
            bad.writestr(name, f"{head}?>{doctype}{rest}" if rest else f"{doctype}{head}")
        bad.writestr(
            "xl/externalLinks/_rels/externalLink1.xml.rels",
            f'<Relationships><Relationship Target="{here}/x"/></Relationships>',
        )
    return changed.getvalue()
