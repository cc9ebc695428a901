"""What strangers and customers send with a form of ours, or write in a mail, fills no column that the form does not have."""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from flask import has_request_context, request
from rapport_calendar import invitations
from rapport_email import Account
from rapport_email.inbox import Taken, take
from rapport_email.parsing import parse
from rapport_email.testing import mail, make_account
from rapport_portal.accounts import Account as PortalAccount
from rapport_portal.accounts import new_link
from rapport_sales import papers
from rapport_service import surveys
from sqlalchemy import delete, func, select

from rapport import Customer, User, system
from rapport.access.service import attempt_table
from rapport.builtin.web.sign_in import reset_link
from rapport.entities import Entity
from rapport.http import policy_of
from rapport.interactions import preferences
from rapport.records import Unit
from rapport.records.log import change_log
from rapport.testing import TestApp
from rapport.testing.values import value_of
from tests.security.kinds import one_of_each, whole_site
from tests.sheets import sheets
from tests.torture import tally, tries

NUMBER = 73_911
"""In the values that are offered, so that one knows them again."""
PEOPLE = count(1)
"""Whoever fills a form in is somebody new, of whom more is written than of somebody known."""
TYPED = {
    "email": "person{}@example.com", "by": "Ada", "password": "a long password {}", "again": "a long password {}",
    "job_title": "Number {}", "phone": "+442079460{:03}", "text": "I say {}", "comment": "I say {}",
}  # fmt: skip
LEFT = {
    "/sign-in": "takes a name and a password, and writes nothing", "/sign-in/code": "takes a code, and writes nothing",
    "/sign-out": "ends a session", "/language": "writes nothing", "/forgotten": "mails a link, and writes nothing",
    "/api/<path:rest>": "nothing is there", "/portal/<path:rest>": "nothing is there",
    "/hooks/in/<token>": "fills what an administrator named, in mappings of inbound hooks",
    "/portal/sign-in": "mails a link, and writes nothing", "/portal/sign-out": "ends a session",
    "/portal/visits": "keeps yes or no in a cookie", "/portal/enter/<token>": "opens a session",
    "/portal/email/<token>": "the address that it confirms is signed",
    "/marketing/form/confirm/<token>": "what it confirms was taken in before",
    "/decide/<token>": "its answer is signed", "/preferences/<token>/unsubscribe": "writes no more than its page does",
}  # fmt: skip
"""Doors that have no form to add a column to, or whose form fills none."""
OWN = {
    ("service.case", "status", "closed"), ("sales.quote", "status", "accepted"),
}  # fmt: skip
"""What a door writes by itself, once, and that is among what is offered."""


class Doors:
    """A site with every plugin, a record of every kind, and whoever may come in without an account."""

    def __init__(self, app: TestApp) -> None:
        self.app, self.site = app, app.site
        self.decoy = app.user("Mallory", roles=["admin"])
        made = one_of_each(app)
        with app.site.write(app.admin) as unit:
            for name, values in STATES.items():
                record: Any = unit.get(app.site.entities[name], made[name])
                for field, value in values.items():
                    setattr(record, field, value)
                if "customer_id" in record.meta.fields:
                    record.customer_id = made["customer"]
            self.other = unit.create(Customer, {"name": "Somebody else"}).id
            self.form = unit.create(app.site.entities["marketing.form"], {
                "title": "Offer", "slug": "offer", "fields": ["name", "email"], "double_opt_in": False,
                "consent_text": "Yes.",
            })  # fmt: skip
        with app.site.db.write() as connection:
            app.site.settings.set(connection, "marketing.form_seconds", 0)
        app.settle()
        self.made = made
        self.stranger, self.customer = app.flask.test_client(), app.flask.test_client()
        with app.site.write(system("test")) as unit:
            account = PortalAccount(customer_id=made["customer"])
            unit.session.add(account)
            unit.flush()
            token = new_link(unit, account)
        assert self.customer.post(f"/portal/enter/{token}").status_code == 302

    def record(self, name: str) -> Any:
        with self.site.read(self.app.admin) as reader:
            return reader.get(self.site.entities[name], self.made[name])

    def user(self) -> User:
        with self.site.read(self.app.admin) as reader:
            return reader.get(User, self.decoy.id or UUID(int=0))

    def pages(self) -> Iterator[tuple[str, str, Any]]:
        """Every rule by which strangers and customers send something, the page with its form, and who opens it."""
        for rule in self.app.flask.url_map.iter_rules():
            policy = policy_of(self.app.flask.view_functions[rule.endpoint])
            portal = rule.rule.startswith("/portal")
            if "POST" not in (rule.methods or ()) or not (portal or policy == "public") or rule.rule in LEFT:
                continue
            client = self.customer if portal else self.stranger
            if rule.rule in LINKS:
                yield rule.rule, urlsplit(LINKS[rule.rule](self)).path, client
                continue
            path = rule.rule
            for name in rule.arguments:
                kind = next((each for each in self.made if each.endswith(name.removesuffix("_id"))), "")
                path = re.sub(rf"<[^<>]*{name}>", str(self.made.get(kind, "nothing")), path)
            yield rule.rule, path.removesuffix("/close"), client

    def offered(self, kinds: list[type[Entity]], asked: set[str]) -> dict[str, str]:
        """A value for every column of these kinds that the form does not ask for: such as nobody else would write."""
        found: dict[str, str] = {}
        people = {"user": str(self.decoy.id), "customer": str(self.other)}
        for entity in kinds:
            for name, field in self.site.meta(entity).fields.items():
                if name in asked or name in found:
                    continue
                if field.target and field.target not in people:
                    continue  # of most kinds there is one record, to which a door may refer by itself
                if field.target:
                    found[name] = people[field.target]
                elif field.kind in {"id", "json", "file"}:
                    found[name] = str(self.other)
                elif field.kind == "flag":
                    found[name] = "" if field.default else "true"
                else:
                    others = [each.value for each in field.choices if each.value not in {"", field.default}]
                    value = others[-1] if others else value_of(field, NUMBER)
                    found[name] = ", ".join(value) if isinstance(value, list) else str(value)
        return found

    def filled(
        self, do: Callable[[Mapping[str, str]], None], offered: Mapping[str, str], asked: set[str]
    ) -> tuple[int, list[str]]:
        """How many changes came of something that was sent with columns, and which of these were filled by that.

        What is written as well when nothing is offered is the door's own doing.
        """
        came, found = self.written(lambda: do(offered), offered, asked)
        own = self.written(lambda: do({}), offered, asked)[1] if found else []
        return came, sorted(set(found) - set(own))

    def written(self, do: Callable[[], None], offered: Mapping[str, str], asked: set[str]) -> tuple[int, list[str]]:
        """How many changes came of something, and which of them hold what is offered."""
        with self.site.db.write() as connection:
            connection.execute(delete(attempt_table))  # a stranger has so many tries in ten minutes
            before = connection.scalar(select(func.max(change_log.c.seq))) or 0
        do()
        self.app.settle()
        with self.site.db.read() as connection:
            rows = connection.execute(select(change_log).where(change_log.c.seq > before)).all()
        wrong = []
        for row in rows:
            for name, (_old, new) in row.changes.items():
                said = str(new).lower() if isinstance(new, bool) else str(new)
                ours = name in asked or name not in offered or (row.entity, name, said) in OWN
                if not ours and new not in (None, "", 0) and said == offered[name]:
                    wrong.append(f"{row.entity}.{name} = {said}")
        return len(rows), wrong


STATES: Mapping[str, Mapping[str, Any]] = {
    "sales.quote": {"status": "sent", "valid_until": None}, "service.case": {"status": "open", "merged_into_id": None},
    "service.invitation": {"state": "sent"}, "service.registration": {},
    "service.article": {"status": "published", "audience": "portal"},
}  # fmt: skip
"""In which these wait for somebody's answer."""
LINKS: Mapping[str, Callable[[Doors], str]] = {
    "/reset/<token>": lambda doors: reset_link(doors.site, doors.user()),
    "/preferences/<token>": lambda doors: preferences.link(doors.site, doors.made["customer"]),
    "/calendar/answer/<token>": lambda doors: invitations.address(doors.site, doors.record("calendar.attendee")),
    "/marketing/form/<slug>": lambda _doors: "/marketing/form/offer",
    "/sales/quote/<token>": lambda doors: papers.link(doors.site, doors.record("sales.quote")),
    "/service/survey/<token>": lambda doors: surveys.path(doors.site, doors.record("service.invitation")),
}
"""The pages that are opened by a link that we make."""


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with whole_site(tmp_path_factory.mktemp("doors"), mail_url="smtp://127.0.0.1:9") as app:
        yield Doors(app)


def pressed(client: Any, path: str, action: str, offered: Mapping[str, str]) -> None:
    """Open the page, fill in its form, and send it with these columns beside."""
    page = client.get(path).get_data(as_text=True)
    for sheet in [each for each in sheets(page, path, bare=True) if each.action == action][:1]:
        number, shown = next(PEOPLE), dict(sheet.values)
        words = {name: word.format(number) for name, word in TYPED.items() if name in shown}
        body = [*parse_qsl(sheet.body(agree="1", answer="accept", **words), keep_blank_values=True), *offered.items()]
        fields: dict[str, Any] = {}
        for name, value in body:
            fields.setdefault(name, []).append(value)
        answer = client.post(action, data=fields)
        assert answer.status_code < 500, (action, answer.status_code)


def through_forms(doors: Doors) -> tuple[int, dict[str, int], list[str]]:
    """How many columns were offered with forms, what came of each, and what was filled that it does not ask for."""
    tried, effects, wrong = 0, {}, []
    for rule, path, client in doors.pages():
        effects[rule] = 0
        answer = client.get(path)
        for sheet in sheets(answer.get_data(as_text=True), path, bare=True):
            if sheet.action.startswith(("/portal/visits", "/portal/sign", "/language")):
                continue
            asked = {name.partition(".")[0] for name, _value in sheet.values}
            kinds = sorted(doors.site.entities, key=lambda each: _near(each.meta.name, path))
            offered = doors.offered(kinds, asked)
            came, found = doors.filled(partial(pressed, client, path, sheet.action), offered, asked)
            effects[rule] = effects.get(rule, 0) + came
            tried += sum(name in offered for each in kinds for name in doors.site.meta(each).fields)
            wrong += [f"{rule}: {each}" for each in found]
    return tried, effects, wrong


def _near(kind: str, path: str) -> int:
    """Kinds that a page is most likely about come first: of columns with one name, theirs is the value offered."""
    plugin, _dot, noun = kind.partition(".")
    return -sum(len(word) for word in (plugin, noun) if word and word in path)


def test_no_form_for_strangers_or_customers_fills_more_than_it_asks_for(doors: Doors) -> None:
    tried, effects, wrong = through_forms(doors)
    assert wrong == []
    assert sum(map(bool, effects.values())) >= 9, effects
    tally("A6", "columns offered with forms for strangers and customers", tried=tried, doors=len(effects), written=0)


@pytest.fixture(scope="module")
def account(doors: Doors) -> Account:
    app = doors.app
    made = make_account(app.site, app.admin)
    with app.site.read(app.admin) as reader:
        return reader.get(Account, made)


def through_mails(doors: Doors, account: Account, kinds: Iterable[type[Entity]]) -> tuple[int, list[str]]:
    """How many columns were written into mails, as lines and headers, and which of them were filled by that."""
    tried, wrong = 0, []
    for entity in kinds:
        offered = doors.offered([entity], set())

        def send(columns: Mapping[str, str], name: str = entity.meta.name) -> None:
            text = "\n".join(f"{column}: {value}" for column, value in columns.items())
            subject, sender = f"{name} {text.partition('  ')[0][:60]!r}", f"Ada <ada{next(PEOPLE)}@example.com>"
            sent = mail(sender=sender, subject=subject, text=f"{name}\n{text}\n")
            for column, value in columns.items():
                for header in (column.replace("_", "-"), f"X-Rapport-{column}", f"X-{name}.{column}"):
                    if value.isascii() and value.isprintable() and header not in sent:
                        sent[header] = value
            data = bytes(sent)
            take(doors.site, account, Taken(data, len(data), "INBOX", "in"))

        came, found = doors.filled(send, offered, set())
        assert came > 0, entity.meta.name
        tried += len(offered)
        wrong += [f"{entity.meta.name}: {each}" for each in found]
    return tried, wrong


def test_no_line_of_a_mail_fills_a_column(doors: Doors, account: Account) -> None:
    tried, wrong = through_mails(doors, account, list(doors.site.entities)[:: tries(4, long=1)])
    assert wrong == []
    tally("A6", "columns that are written into mails", tried=tried, written=0)


def take_whatever_comes(monkeypatch: pytest.MonkeyPatch, what: Callable[[], Mapping[str, str]]) -> None:
    """The defect: whatever is made or changed takes every column that is sent, where it has nothing yet."""
    validate = Unit._validate

    def taking(unit: Unit, record: Any, entity: Any) -> Any:
        for name, text in what().items():
            field = entity.meta.fields.get(name)
            plain = field is not None and field.kind in {"text", "longtext"} and not field.choices
            if plain and name != "time_zone":  # of which a customer says that it is none
                setattr(record, name, getattr(record, name) or text)
        return validate(unit, record, entity)

    monkeypatch.setattr(Unit, "_validate", taking)


def test_a_door_that_takes_whatever_comes_is_found(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    take_whatever_comes(monkeypatch, lambda: request.form if has_request_context() else {})
    _tried, _effects, wrong = through_forms(doors)
    assert len(wrong) > 3
    tally("A6", "columns offered with forms for strangers and customers", tried=0, control=len(wrong))


def test_a_mailbox_that_takes_whatever_is_written_is_found(
    doors: Doors, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, str] = {}

    def reading(data: bytes) -> Any:
        found = parse(data)
        written.clear()
        written.update(line.split(": ", 1) for line in found.text.splitlines() if ": " in line)  # type: ignore[arg-type]
        return found

    monkeypatch.setattr("rapport_email.inbox.parse", reading)
    take_whatever_comes(monkeypatch, lambda: written)
    _tried, wrong = through_mails(doors, account, [Customer])
    assert len(wrong) > 3
    tally("A6", "columns that are written into mails", tried=0, control=len(wrong))
