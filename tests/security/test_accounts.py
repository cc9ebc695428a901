"""Accounts: no link leads away, no answer tells who is known, no header gives more tries, no session goes on."""

from __future__ import annotations

import dataclasses
import html
import inspect
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pyotp
import pytest
from argon2 import PasswordHasher
from flask import request
from rapport_calendar import pages as calendar_pages
from sqlalchemy import delete, event, func, select
from werkzeug.middleware.proxy_fix import ProxyFix

from rapport import User, enqueue_mail, send_mail
from rapport.access import Token
from rapport.access.service import TRIES, Passwords, attempt_table, find_user
from rapport.builtin.web import records, sign_in
from rapport.http import own_path, policy_of
from rapport.jobs import job_table
from rapport.testing import TestApp
from rapport.testing.app import PASSWORD
from rapport.testing.gates import function_at
from rapport.testing.sources import Source, source
from tests.architecture.subjects import ROOT, members
from tests.torture import LONG, tally, tries

EVIL = "evil.example"
ONE = "00000000-0000-7000-8000-000000000000"
TOKEN = re.compile(r'name="(?:csrf_token|page)" value="([^"]+)"|name="csrf-token" content="([^"]+)"')
FORM_KEY = re.compile(r'name="form-key" value="[^"]+"')
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who somebody is, a process remembers for a second; here it asks each time."""
    monkeypatch.setattr("rapport.site.ACTOR_SECONDS", 0.0)


@pytest.fixture
def app(make_app: Any) -> Iterator[TestApp]:
    with make_app(plugins=["portal", "marketing"]) as made:
        made.site.config = dataclasses.replace(made.site.config, mail_url="smtp://127.0.0.1:9")
        yield made


def word_in(page: Any) -> str:
    """The signed word that a form carries."""
    found = TOKEN.search(page.get_data(as_text=True))
    return next(filter(None, found.groups())) if found else ""


def mails(app: TestApp) -> list[str]:
    """The texts of all mails that were written."""
    with app.site.db.read() as connection:
        rows = connection.scalars(select(job_table.c.arguments).where(job_table.c.name == "core.mail"))
        return [row["text"] for row in rows]


# Who somebody says they are, to whoever asks -------------------------------------------------------------------------


def sends(client: Any, path: str, form: Mapping[str, str], **options: Any) -> Any:
    """Open a page, and send its form."""
    word = word_in(client.get(path))
    return client.post(path, data={**form, "csrf_token": word, "page": word}, **options)


def form_of(app: TestApp) -> str:
    """A web form that asks whether the address is theirs."""
    from rapport_marketing import Form

    with app.site.db.write() as connection:
        app.site.settings.set(connection, "marketing.form_seconds", 0)
    with app.site.write(app.admin) as unit:
        return unit.create(
            Form, {"title": "Ask", "slug": "ask", "fields": ["name", "email"], "consent_text": "Yes."}
        ).slug


WAYS: Mapping[str, Callable[[Any, str], Any]] = {
    "web.sign_in": lambda client, email, **how: sends(
        client, "/sign-in", {"email": email, "password": "x" * 12}, **how
    ),
    "web.forgotten": lambda client, email, **how: sends(client, "/forgotten", {"email": email}, **how),
    "portal.sign_in": lambda client, email, **how: sends(client, "/portal/sign-in", {"email": email}, **how),
    "marketing_forms.take": lambda client, email, **how: sends(
        client, "/marketing/form/ask", {"name": "Ada", "email": email, "agree": "1"}, **how
    ),
}
"""Every view that anybody may send an address to."""


def asks_for_an_address(view: Callable[..., Any]) -> bool:
    return policy_of(view) == "public" and bool(
        re.search(r"""['"]email['"]""", inspect.getsource(inspect.unwrap(view)))
    )


class Work:
    """What a request cost: statements in their order, transactions, passwords that were compared."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.commits = self.hashes = 0

    @property
    def shape(self) -> tuple[tuple[str, ...], int, int]:
        return tuple(self.statements), self.commits, self.hashes


@contextmanager
def counted(app: TestApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    work = Work()
    usual = PasswordHasher.verify

    def verify(self: PasswordHasher, kept: str | bytes, password: str | bytes) -> bool:
        work.hashes += 1
        return usual(self, kept, password)

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        work.statements.append(statement)

    def commit(_connection: Any) -> None:
        work.commits += 1

    engines = (app.site.db.reading, app.site.db.writing)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
        event.listen(engine, "commit", commit)
    with monkeypatch.context() as patched:
        patched.setattr(PasswordHasher, "verify", verify)
        yield work
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "commit", commit)


def told(app: TestApp, way: str, email: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """All that a stranger sees and could measure, without the words that differ each time, and the address itself."""
    with app.site.db.write() as connection:
        connection.execute(delete(attempt_table))
    client = app.flask.test_client()
    with counted(app, monkeypatch) as work:
        answer = WAYS[way](client, email)
    page = FORM_KEY.sub("", TOKEN.sub("", answer.get_data(as_text=True))).replace(email, "somebody")
    headers = sorted((name, value) for name, value in answer.headers.items() if name not in {"Set-Cookie", "Date"})
    cookies = sorted(value.partition("=")[0] for value in answer.headers.getlist("Set-Cookie"))
    return answer.status_code, page, tuple(headers), tuple(cookies), work.shape


@one_database
@pytest.mark.parametrize("way", WAYS)
def test_nobody_learns_who_is_known(way: str, app: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    form_of(app)
    app.user("Known One")
    app.create_customer(name="Known One", email="known.one@example.com")
    off = app.user("Known Off")
    two = app.user("Known Two")
    with app.site.write(app.admin) as unit:
        unit.get(User, off.id).active = False
        unit.get(User, two.id).totp_secret = pyotp.random_base32()
        gone = app_customer(unit, "known.off@example.com")
        unit.archive(gone)
    app.settle()
    people = {"known.one": "guess.one", "known.off": "guess.off", "known.two": "guess.two"}
    told(app, way, "warm.up@example.com", monkeypatch)
    tried = different = 0
    for _ in range(tries(4, long=700)):
        for known, unknown in people.items():
            seen = [told(app, way, f"{name}@example.com", monkeypatch) for name in (known, unknown)]
            different += seen[0] != seen[1]
            tried += 2
        app.settle()
    assert different == 0
    caught = _defects(app, way, monkeypatch)
    assert caught > 0
    tally("B10", f"known and unknown people: {way}", tried=tried, different=different, control=caught)


def app_customer(unit: Any, email: str) -> Any:
    from rapport import Customer

    return unit.create(Customer, {"name": "Known Off", "email": email})


def _defects(app: TestApp, way: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many careless ways of doing the same are seen."""
    caught = 0
    view = app.flask.view_functions[way]

    def mails_at_once(*arguments: Any, **named: Any) -> Any:
        answer = view(*arguments, **named)
        with app.site.db.read() as connection:
            user = find_user(connection, request.form.get("email", "")) if request.method == "POST" else None
        if user is not None:
            send_mail(app.site, to=user.email, subject="x", text="x")
        return answer

    with monkeypatch.context() as patched:
        patched.setitem(app.flask.view_functions, way, mails_at_once)
        seen = [told(app, way, f"{name}.one@example.com", monkeypatch) for name in ("known", "guess")]
        caught += seen[0] != seen[1]
    if way == "web.sign_in":
        with monkeypatch.context() as patched:
            usual = Passwords.matches
            patched.setattr(Passwords, "matches", lambda self, given, kept: bool(kept) and usual(self, given, kept))
            seen = [told(app, way, f"{name}.one@example.com", monkeypatch) for name in ("known", "guess")]
            caught += seen[0] != seen[1]
    return caught


@one_database
def test_a_token_that_is_revoked_looks_like_one_that_never_was(app: TestApp) -> None:
    client = app.api(app.admin)
    used = client.environ_base["HTTP_AUTHORIZATION"]
    assert client.get("/api/v1/customer").status_code == 200
    with app.site.write(app.admin) as unit:
        for each in unit.reader.all(Token):
            unit.archive(each)
    answers = set()
    for secret in (used, used[:-1] + ("a" if used[-1] != "a" else "b"), "Bearer rpt_" + "x" * 43):
        answer = app.flask.test_client().get("/api/v1/customer", headers={"Authorization": secret})
        answers.add((answer.status_code, answer.get_data()))
    assert len(answers) == 1
    assert answers.pop()[0] == 401


# Hosts that somebody makes up ----------------------------------------------------------------------------------------

HOSTS = (
    EVIL, f"{EVIL}:80", f"{EVIL}.", f"localhost.{EVIL}", f"localhost@{EVIL}", f"localhost:80@{EVIL}",
    f"{EVIL}#localhost", f"{EVIL}?localhost", f"{EVIL}/localhost", f"{EVIL}\\localhost", f"{EVIL},localhost",
    f"localhost,{EVIL}", f"localhost {EVIL}", f"xlocalhost.{EVIL}", f"{EVIL}%00.localhost", f"[::1].{EVIL}",
)  # fmt: skip


def is_linked(answer: Any) -> bool:
    """Whether an answer has a link to the other host: to say that it is not ours is no link."""
    return bool(re.search(rf"//[^\s\"'<>]*{EVIL}", f"{answer.headers} {answer.get_data(as_text=True)}"))


FORWARDED = (
    {"X-Forwarded-Host": EVIL}, {"X-Forwarded-Host": f"localhost, {EVIL}"}, {"X-Forwarded-Server": EVIL},
    {"X-Host": EVIL}, {"X-Original-Host": EVIL}, {"X-HTTP-Host-Override": EVIL},
    {"Forwarded": f"for=1.2.3.4;host={EVIL}"},
    {"X-Original-URL": f"https://{EVIL}/"}, {"X-Rewrite-URL": f"https://{EVIL}/"}, {"X-Forwarded-Prefix": f"//{EVIL}"},
    {"X-Script-Name": f"//{EVIL}"}, {"Referer": f"https://{EVIL}/"}, {"Via": EVIL},
)  # fmt: skip


def addresses(app: TestApp) -> list[tuple[str, str]]:
    """Every method of every route there is, with something in its places."""
    found = []
    for rule in app.flask.url_map.iter_rules():
        path = re.sub(r"<uuid:\w+>", ONE, rule.rule)
        path = re.sub(r"<int(?:\([^)]*\))?:\w+>", "1", path)
        path = re.sub(r"<any\(([^,)]*)[^)]*\):\w+>", r"\1", path)
        path = re.sub(r"<[^>]+>", "customer", path)
        found += [(method, path) for method in sorted((rule.methods or set()) & {"GET", "POST"})]
    return found


@one_database
def test_no_host_that_somebody_makes_up_is_answered_and_every_view_that_takes_an_address_is_tried(
    database_url: str, tmp_path: Any
) -> None:
    from tests.security.kinds import whole_site

    with whole_site(tmp_path, database_url) as app:
        found = {
            rule.endpoint
            for rule in app.flask.url_map.iter_rules()
            if "POST" in (rule.methods or set()) and asks_for_an_address(app.flask.view_functions[rule.endpoint])
        }
        assert found == set(WAYS)
        everywhere = addresses(app)
        client = app.flask.test_client()
        tried = repeated = 0
        for number, (method, path) in enumerate(everywhere):
            for host in HOSTS if LONG else HOSTS[number % len(HOSTS) :][:1]:
                answer = client.open(path, method=method, headers={"Host": host})
                tried += 1
                assert answer.status_code == 400, (method, path, host)
                repeated += is_linked(answer)
            for headers in FORWARDED if LONG else FORWARDED[number % len(FORWARDED) :][: number % 2]:
                answer = client.open(path, method=method, headers=headers)
                tried += 1
                assert answer.status_code < 500
                repeated += is_linked(answer)
        assert repeated == 0
        app.flask.config["TRUSTED_HOSTS"] = None  # the defect
        some = everywhere[:: len(everywhere) // 20]
        caught = sum(
            client.open(path, method=method, headers={"Host": EVIL}).status_code != 400 for method, path in some
        )
        assert caught > 0
    tally("B10", "routes with the names of other hosts", tried=tried, repeated=repeated, control=caught)


def _from_the_request(unit: Any, _form: Any, submission: Any) -> None:
    """What a careless view would do."""
    host = request.headers.get("X-Forwarded-Host", request.host)
    connection = unit.session.connection()
    enqueue_mail(unit.site, connection, to=submission.email, subject="x", text=f"https://{host}/confirm/x")


@one_database
def test_no_mail_leads_to_a_host_that_somebody_made_up(app: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    form_of(app)
    app.user("Known One")
    app.create_customer(name="Known One", email="known.one@example.com")

    def written() -> tuple[int, int]:
        tried = 0
        for headers in (*FORWARDED, *({"Host": host} for host in HOSTS)):
            for way in set(WAYS) - {"web.sign_in"}:
                with app.site.db.write() as connection:
                    connection.execute(delete(attempt_table))
                WAYS[way](app.flask.test_client(), "known.one@example.com", headers=headers)
                tried += 1
        app.settle()
        links = [link for text in mails(app) for link in re.findall(r"[a-z]+://\S+", text)]
        assert links
        return tried, sum(not link.startswith("http://localhost/") or EVIL in link for link in links)

    tried, foreign = written()
    assert foreign == 0
    assert len(mails(app)) == 3 * len(FORWARDED), "those with another Host are refused, the rest is mailed"
    monkeypatch.setattr("rapport_marketing.forms._mail_link", _from_the_request)
    caught = written()[1]
    assert caught > 0
    tally("B10", "requests for mails with the names of other hosts", tried=tried, foreign=foreign, control=caught)


# Tries --------------------------------------------------------------------------------------------------------------

CLAIMS = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP",
          "X-Cluster-Client-IP", "X-Originating-IP", "X-Remote-IP", "X-Remote-Addr", "Fastly-Client-IP")  # fmt: skip


def claiming(number: int) -> dict[str, str]:
    """Headers that say that a request comes from somewhere new each time."""
    address = f"198.51.{number // 250}.{number % 250 + 1}"
    return {name: f"for={address}" if name == "Forwarded" else address for name in CLAIMS}


@one_database
def test_behind_a_proxy_of_ours_everybody_counts_by_themselves(make_app: Callable[..., Any]) -> None:
    proxy, stranger = "10.0.0.1", "10.0.0.2"
    with make_app(trusted_proxies=(proxy,)) as app:
        mia = app.user("Mia")

        def sign_in_from(sender: str, told: str, email: str, password: str) -> int:
            client, base = app.flask.test_client(), {"REMOTE_ADDR": sender}
            headers = {"X-Forwarded-For": told}
            return int(sends(client, "/sign-in", {"email": email, "password": password}, headers=headers,
                             environ_base=base).status_code)  # fmt: skip

        for number in range(TRIES):
            sign_in_from(proxy, "198.51.100.7", f"person{number}@example.com", "wrong" * 3)
        assert sign_in_from(proxy, "198.51.100.7", mia.email, PASSWORD) == 429
        assert sign_in_from(proxy, "9.9.9.9, 198.51.100.7", mia.email, PASSWORD) == 429, (
            "what the proxy itself saw counts"
        )
        assert sign_in_from(proxy, "198.51.100.8", mia.email, PASSWORD) == 302
        for number in range(TRIES):
            sign_in_from(stranger, f"203.0.113.{number}", f"person{number}@example.com", "wrong" * 3)
        assert sign_in_from(stranger, "203.0.113.99", mia.email, PASSWORD) == 429, "nobody else is believed"


@one_database
def test_no_header_gives_more_tries(app: TestApp) -> None:
    mia = app.user("Mia")
    app.create_customer(name="Mia", email="mia@example.com")
    many = tries(24, long=400)

    def jobs(name: str) -> int:
        with app.site.db.read() as connection:
            return int(connection.scalar(select(func.count()).where(job_table.c.name == name)) or 0)

    def accepted(way: str, email: Callable[[int], str]) -> int:
        with app.site.db.write() as connection:
            connection.execute(delete(attempt_table))
        answers = [
            WAYS[way](app.flask.test_client(), email(number), headers=claiming(number)) for number in range(many)
        ]
        return sum(answer.status_code != 429 for answer in answers)

    assert accepted("web.sign_in", lambda _number: mia.email) <= TRIES
    assert accepted("web.sign_in", lambda number: f"person{number}@example.com") <= TRIES
    right = sends(app.flask.test_client(), "/sign-in", {"email": mia.email, "password": PASSWORD})
    assert right.status_code == 429, "from that address not even the right one, for a while"
    accepted("web.forgotten", lambda _number: mia.email)
    assert jobs("web.reset") <= TRIES
    accepted("web.forgotten", lambda number: f"person{number}@example.com")
    assert jobs("web.reset") <= 2 * TRIES
    assert accepted("portal.sign_in", lambda _number: mia.email) <= TRIES
    assert accepted("portal.sign_in", lambda number: f"person{number}@example.com") <= TRIES

    # The six digits: a session each, and as many tries as for one.
    with app.site.write(app.admin) as unit:
        unit.get(User, mia.id).totp_secret = pyotp.random_base32()
    with app.site.db.write() as connection:
        connection.execute(delete(attempt_table))
    asked = 0
    for number in range(many):
        client = app.flask.test_client()
        sends(client, "/sign-in", {"email": mia.email, "password": PASSWORD}, headers=claiming(number))
        asked += sends(client, "/sign-in/code", {"code": "000000"}, headers=claiming(number)).status_code == 422
    assert asked <= TRIES
    wsgi = app.flask.wsgi_app
    app.flask.wsgi_app = ProxyFix(wsgi, x_for=1)  # type: ignore[method-assign]  # the defect
    caught = accepted("web.sign_in", lambda number: f"person{number}@example.com")
    app.flask.wsgi_app = wsgi  # type: ignore[method-assign]
    assert caught > TRIES
    tally("B10", "tries from an address that claims to be others", tried=7 * many, beyond_the_limit=0, control=caught)


# Sessions and links --------------------------------------------------------------------------------------------------


def cookie_of(client: Any) -> str:
    found = client.get_cookie("rapport")
    return found.value if found is not None else ""


def is_in(app: TestApp, cookie: str) -> bool:
    """Whether somebody with this cookie is somebody."""
    client = app.flask.test_client()
    client.set_cookie("rapport", cookie)
    return bool(client.get("/account").status_code == 200)


def _sign_out(app: TestApp, client: Any, _mia: Any) -> None:
    assert app.submit(client, "/sign-out", {}).status_code == 302


def _new_password(app: TestApp, client: Any, _mia: Any) -> None:
    app.submit(client, "/account/password", {"current": PASSWORD, "password": "another horse battery"})


def _reset(app: TestApp, _client: Any, mia: Any) -> None:
    with app.site.db.read() as connection:
        link = sign_in.reset_link(app.site, find_user(connection, mia.email))
    path, form = urlsplit(link).path, {"password": "another horse battery", "again": "another horse battery"}
    assert sends(app.flask.test_client(), path, form).status_code == 302


def _let_go(app: TestApp, _client: Any, mia: Any) -> None:
    assert app.submit(app.browser(), f"/admin/users/{mia.id}/deactivate", {}).status_code == 302


ENDS = (_sign_out, _new_password, _reset, _let_go)


@one_database
def test_a_session_is_new_when_somebody_signs_in_and_worthless_once_it_has_ended(
    app: TestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = alive = 0

    def story(number: int, end: Callable[[TestApp, Any, Any], None]) -> tuple[int, int]:
        """How many of the cookies that must be worthless were tried, and how many were not."""
        mia = app.user(f"Mia {number}")
        with app.site.db.write() as connection:
            connection.execute(delete(attempt_table))
        client = app.flask.test_client()
        client.get("/sign-in")
        client.set_cookie("planted", "1")
        before = cookie_of(client)
        sends(client, "/sign-in", {"email": mia.email, "password": "wrong" * 3})
        assert sends(client, "/sign-in", {"email": mia.email, "password": PASSWORD}).status_code == 302
        first = cookie_of(client)
        other = app.browser(mia)
        assert first not in {before, ""}
        assert is_in(app, first)
        dead = [before, first, cookie_of(other)]
        if end is _new_password:  # the session that does it goes on
            end(app, client, mia)
            assert is_in(app, cookie_of(client))
        else:
            end(app, client, mia)
            dead.append(cookie_of(client))
        return len(dead), sum(is_in(app, each) for each in dead)

    for number, end in enumerate(ENDS):
        for again in range(tries(1, long=25)):
            count, still = story(100 * number + again, end)
            tried, alive = tried + count, alive + still
    assert alive == 0
    monkeypatch.setattr(sign_in, "end_sessions", lambda unit, user: None)
    caught = story(9999, _sign_out)[1]
    assert caught > 0
    tally("B10", "cookies from before and after a session", tried=tried, worth_something=alive, control=caught)


@one_database
def test_half_of_a_sign_in_opens_nothing(app: TestApp) -> None:
    mia = app.user("Mia")
    secret = pyotp.random_base32()
    with app.site.write(app.admin) as unit:
        unit.get(User, mia.id).totp_secret = secret
    client = app.flask.test_client()
    assert "/sign-in/code" in sends(client, "/sign-in", {"email": mia.email, "password": PASSWORD}).headers["Location"]
    half = cookie_of(client)
    assert not is_in(app, half)
    assert sends(client, "/sign-in/code", {"code": pyotp.TOTP(secret).now()}).headers["Location"] == "/"
    assert is_in(app, cookie_of(client))
    assert not is_in(app, half)


def test_a_link_for_a_new_password_works_once(app: TestApp, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    used = tried = 0

    def at_the_same_moment(number: int, how_many: int) -> int:
        """So many set a password by one link, each another; how many are let."""
        mia = app.user(f"Mia {number}")
        with app.site.db.read() as connection:
            path = urlsplit(sign_in.reset_link(app.site, find_user(connection, mia.email))).path
        begin = threading.Barrier(how_many)
        answers: list[int] = []

        def use(each: int) -> None:
            client = app.flask.test_client()
            word = word_in(client.get(path))
            begin.wait(30)
            password = f"another horse battery {each}"
            form = {"password": password, "again": password, "csrf_token": word}
            answers.append(client.post(path, data=form).status_code)

        threads = [threading.Thread(target=use, args=(each,)) for each in range(how_many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(set(answers)) in ([302], [302, 410]), answers
        client = app.flask.test_client()
        assert client.get(path).status_code == 410
        return answers.count(302)

    for number in range(tries(3, long=300)):
        used += at_the_same_moment(number, 4)
        tried += 1
    assert used == tried
    # A link to the former password is dead as well, and one that is changed, or for somebody else, never lived.
    mia = app.user("Mia 0")
    with app.site.db.read() as connection:
        path = urlsplit(sign_in.reset_link(app.site, find_user(connection, mia.email))).path
    for bent in (path[:-1], path + "a", path.replace("/reset/", "/reset/a"), "/reset/x.y.z"):
        assert app.flask.test_client().get(bent).status_code == 410
    assert app.flask.test_client().get(path).status_code == 200
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: __import__("time").time_ns() / 1e9 + 2 * 3600 + 5)
    assert app.flask.test_client().get(path).status_code == 410
    tally("B10", "links for a new password, used by four at once", tried=tried, used=used)


# Ways back -----------------------------------------------------------------------------------------------------------

AWAY = (
    f"//{EVIL}", f"///{EVIL}", f"////{EVIL}", f"//{EVIL}/..", f"//{EVIL}:80/a", f"//user@{EVIL}/",
    f"//localhost@{EVIL}/", f"/\\{EVIL}", f"\\\\{EVIL}", f"\\/{EVIL}", f"/\\/{EVIL}", f"/\\\\{EVIL}", f"\\{EVIL}",
    f"/\t/{EVIL}", f"/\n/{EVIL}", f"/\r/{EVIL}", f"\t//{EVIL}", f" //{EVIL}", f"\n//{EVIL}", f"/\t\\{EVIL}",
    f"\x00//{EVIL}", f"/\x0b/{EVIL}", f"\x1f//{EVIL}", f"http://{EVIL}", f"https://{EVIL}", f"HTTP://{EVIL}",
    f"http:{EVIL}", f"http:/{EVIL}", f"https:{EVIL}", f"http:\\\\{EVIL}", f"http:///{EVIL}", f"ht\ttp://{EVIL}",
    f"http://localhost@{EVIL}/", f"http://localhost.{EVIL}/", f"http://{EVIL}#localhost", f"http://{EVIL}?localhost",
    f"ftp://{EVIL}/", f"javascript://{EVIL}/%0aalert(1)", "javascript:alert(1)", "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", f"/%09/{EVIL}", f"/%5c{EVIL}", f"/%2f{EVIL}",
    f"/.//{EVIL}", f"/a/..//{EVIL}", f"/a/../\\{EVIL}", f"/\u3000/{EVIL}", f"/／{EVIL}", f"／／{EVIL}",
    f"/\u200b/{EVIL}", f"/\u2028/{EVIL}", EVIL, f"/\r\nLocation: http://{EVIL}", f"/\r\n\r\nhttp://{EVIL}",
)  # fmt: skip


def lands_on(target: str) -> str:
    """The server that a browser asks for such a target of a page of localhost's (WHATWG URL); empty: it runs."""
    text = re.sub(r"[\t\n\r]", "", target.strip("".join(map(chr, range(33)))))
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if scheme is not None and scheme[1].lower() not in {"http", "https"}:
        return ""
    rest = (text[scheme.end() :] if scheme is not None else text).replace("\\", "/")
    if scheme is not None and scheme[1].lower() == "http" and not rest.startswith("//"):
        return "localhost"  # of the same kind as the page: relative to it
    if scheme is not None or rest.startswith("//"):
        authority = re.split(r"[/?#]", rest.lstrip("/"), maxsplit=1)[0]
        return authority.rpartition("@")[2].partition(":")[0].lower()
    return "localhost"


LEADING = ("Location", "HX-Redirect", "HX-Location", "HX-Push-Url", "HX-Replace-Url", "Refresh", "Content-Location")
WANTED = re.compile(
    r"""(?:form|values|args)(?:\.get\(|\[)["'](?:back|next|return\w*|redirect\w*|goto|continue|url|target)["']"""
    r"""|request\.referrer|HX-Current-URL"""
)
OTHERWISE = {
    "core/rapport/builtin/web/records.py::_form": "stands in the form again, which sends it back",
    "core/rapport/builtin/web/lists.py::_list_url": "only the list itself",
    "core/rapport/builtin/web/context.py::came_from": "own_path, on the next line",
    "core/rapport/builtin/web/sign_in.py::language": "only a page of the host that was asked, which is a trusted one",
    "plugins/portal/rapport_portal/counting.py::answer": "a pattern that has room for paths of the portal only",
    "plugins/portal/rapport_portal/counting.py::count_page": "counted, not followed",
    "plugins/portal/rapport_portal/counting.py::dot": "counted, not followed",
}
"""Where an address of a request is read and not handed to `own_path`, and why that leads nowhere."""


def led(module: Source) -> Iterator[str]:
    """The functions that read where to go next from a request, and do not ask `own_path` whether they may."""
    for number, line in enumerate(module.lines, 1):
        if WANTED.search(line) and "own_path(" not in line:
            yield f"{module.path}::{function_at(module, number)}"


def test_whoever_reads_where_to_go_next_asks_whether_it_is_a_page_of_ours() -> None:
    homes = [ROOT / "core" / "rapport" / "builtin" / "web", *(member.folder / member.package for member in members())]
    texts = {path: path.read_text("utf-8") for home in homes for path in sorted(home.rglob("*.py"))}
    read = [source(path.relative_to(ROOT).as_posix(), "module", text) for path, text in texts.items()
            if WANTED.search(text)]  # fmt: skip
    assert {place for module in read for place in led(module)} == set(OTHERWISE)
    careless = source("new.py", "new", 'def view():\n    return redirect(request.args.get("next", "/"))\n')
    assert list(led(careless)) == ["new.py::view"]


def _sent(app: TestApp, browser: Any, path: str, form: Mapping[str, str], **headers: str) -> list[str]:
    word = word_in(browser.get("/account"))
    with browser.post(path, data={**form, "csrf_token": word}, headers=headers) as answer:
        assert answer.status_code < 400, (path, form, answer.status_code)
        return [answer.headers[name] for name in LEADING if name in answer.headers]


def ways_back(app: TestApp, browser: Any, wanted: str, headers: Mapping[str, str]) -> Iterator[list[str]]:
    """Where each view leads that is asked to lead to `wanted`."""
    from rapport import Task

    with app.site.write(app.admin) as unit:
        task = unit.create(Task, {"title": "Call"}).id
    noon = {"title": "Lunch", "start_day": "2026-12-01", "start_time": "12:00", "end_time": "13:00", "zone": "UTC"}
    yield _sent(app, browser, "/customer/new", {"name": "Ada", "back": wanted}, **headers)
    yield _sent(app, browser, f"/task/{task}/done", {"back": wanted}, **headers)
    yield _sent(app, browser, "/calendar.appointment/new", {**noon, "back": wanted}, **headers)
    yield _sent(app, browser, "/portal/visits", {"answer": "no", "back": wanted}, **headers)
    if not re.search(r"[\r\n]", wanted) and wanted.isascii():
        yield _sent(app, browser, "/language", {"lang": "en"}, Referer=wanted, **headers)
    client = app.flask.test_client()
    given = {"email": app.admin.email, "password": PASSWORD, "next": wanted}
    answer = sends(client, "/sign-in", given, headers=headers)
    assert answer.status_code == 302
    yield [answer.headers["Location"]]
    page = app.flask.test_client().get("/sign-in", query_string={"next": wanted}).get_data(as_text=True)
    yield [html.unescape(each) for each in re.findall(r'name="next" value="([^"]*)"', page)]


def _careless(wanted: str, otherwise: str) -> str:
    """How it was: nobody thought of other slashes, and of what browsers leave out."""
    return wanted if wanted.startswith("/") and not wanted.startswith("//") else otherwise


@one_database
def test_no_way_back_leads_away(make_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(AWAY) >= 40
    assert sum(lands_on(each) not in {"localhost", ""} for each in AWAY) >= 30, "they are what they are meant to be"
    assert lands_on("/customer?x=//a") == "localhost"
    with make_app(plugins=["calendar", "portal"]) as app:
        browser = app.browser()
        kinds: Sequence[Mapping[str, str]] = ({}, {"HX-Request": "true"})
        back = "/customer?sort=name"
        own = [led for headers in kinds for led in ways_back(app, browser, back, headers) if back in led]
        assert len(own) >= 8, "they do lead back, if it is to a page of ours"

        def away(forms: Sequence[str]) -> tuple[int, int]:
            asked = [(form, headers) for number, form in enumerate(forms)
                     for headers in (kinds if LONG else kinds[number % 2 :][:1])]  # fmt: skip
            led = [each for form, headers in asked for answer in ways_back(app, browser, form, headers)
                   for each in answer]  # fmt: skip
            return len(led), sum(lands_on(target) != "localhost" for target in led)

        tried, off = away(AWAY)
        assert off == 0
        for module in (sign_in, records, calendar_pages):
            monkeypatch.setattr(module, "own_path", _careless)
        caught = away([f"/\\{EVIL}", f"/\\{EVIL}", f"/\t/{EVIL}", f"/\t/{EVIL}"])[1]
        assert caught > 0
    assert all(lands_on(own_path(form, "/")) == "localhost" for form in AWAY)
    tally("B10", "ways back that lead away", tried=tried, off_site=off, control=caught)
