"""A business in which every text and every amount is a canary: who reads one they may not see has found a leak.

There are two teams, North and South, with a record of every kind each, and a third set that belongs to nobody else but
the administrator. All of it is found in the registries of a site with every plugin: a kind that is made tomorrow is
filled, and looked for, the day it is made.
"""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import make_url, select

from rapport import store
from rapport.access import Actor, Role, User, system
from rapport.customers import Customer
from rapport.entities import Entity, Field, entity_class, table_of
from rapport.errors import Conflict, Invalid, RapportError
from rapport.files import path_of, stored_file
from rapport.plugins import discover
from rapport.testing import TestApp, make_test_site
from rapport.testing.values import Examples, value_of, without

TEXTS = {
    "text": "{}", "longtext": "{}\nand more of {}", "email": "{}@example.com", "url": "https://example.com/{}",
}  # fmt: skip
"""How a canary sits in a field of each kind."""
CANARY = re.compile(r"canary(\d{5})", re.IGNORECASE)
AMOUNT = re.compile(r"(?<![\w.-])73(\d{5})(?!\w)")  # before a letter it is the beginning of a key
BETWEEN_DIGITS = re.compile(r"(?<=\d)[,'\u2019\u00a0\u202f\u066c ](?=\d{3})")
WORKFLOW = """name: {}
entity: customer
initial: open
states:
  open:
    on:
      close: closed
  closed: {{final: true}}
"""
OPEN: dict[str, tuple[bool, Any, tuple[str, ...]]] = {
    "service.article": (True, lambda values: values["status"] == "published", ("title", "topic", "body", "summary")),
    "products.product": (False, lambda values: True, ("name",)),
}
"""What the business shows on its public pages (True) or to every customer in the portal: which, and of it what."""
NEVER_CHANGED = {"user", "user_role", "membership", "team", "role", "token"}
"""Made by hand: these are the principals themselves."""


FITTING: dict[str, dict[str, Any]] = {
    "contact_point": {"kind": "email", "value": "{}@example.com"},
    "retention_rule": {"kind": "customer", "action": "archive", "filter": ""},
    "message": {"channel": "email", "address": "{}@example.com"},
    "message_file": {},
    "custom_entity": {"name": "custom.{}"},
    "custom_field": {"name": "x_{}", "entity": "customer", "kind": "text", "target": "", "default_value": ""},
    "layout": {"content": [{"title": "{}", "fields": ["name"]}], "entity": "task", "place": "form"},
    "workflow": {"source": WORKFLOW, "name": None, "title": None, "note": None},
    "webhook": {"url": "https://example.com/{}", "events": ["customer.created"], "filter": "", "active": False},
    "inbound_hook": {"makes": "customer", "mapping": 'name = "{}"'},
    "dashboards.card": {"shape": "figure"},  # which an alert can watch
    "marketing.execution": {"expected_percent": 5, "difference_points": 2, "days_to_answer": 14},
    "marketing.standing": {"purpose": None},
    "marketing.list": {"purpose": None},
    "service.entitlement": {"valid_from": "2020-01-01", "valid_to": "2040-01-01"},
}
"""What some kinds cannot do without; `{}` is a canary. What is not here is found out."""


def tokens_in(text: str) -> set[int]:
    """The canaries and the amounts in a text, whichever way its numbers are written."""
    found = {int(each) for each in CANARY.findall(text)}
    return found | {int(each) for each in AMOUNT.findall(BETWEEN_DIGITS.sub("", text))}


class Marked(Examples):
    """Makes records whose every text is a canary and whose every amount is found once, all of one team."""

    numbers = iter(range(10_000, 100_000))

    def __init__(self, app: TestApp, owner: Actor, team_id: UUID | None) -> None:
        super().__init__()
        self.app, self.owner, self.team_id = app, owner, team_id
        self.files: Iterator[UUID] = iter(())

    def marked(self, field: Field) -> Any:
        """A value of a field that nobody else has; None where the kind of field has no room for one."""
        if field.name.removeprefix("about_") in {"entity", "hook"}:
            return "customer"  # it says what an id beside it is of
        number = next(self.numbers)
        name = f"canary{number}"
        if field.kind in TEXTS:
            text = TEXTS[field.kind].format(name, name)
            return text if len(text) <= field.max_length else None
        if field.kind in {"money", "decimal"}:
            return f"73{number}.37"
        made = {"tags": ["alpha", name], "address": {"street": f"{name} Street", "city": "Springfield"}}
        return made.get(field.kind)

    def values(self, unit: Any, entity: type[Entity], *, whole: bool) -> dict[str, Any]:
        """As Examples, of this owner and team."""
        given = super().values(unit, entity, whole=whole)
        if entity.meta.owned and self.team_id is not None:
            given |= {"owner_id": str(self.owner.id), "team_id": str(self.team_id)}
        return given

    def make(self, unit: Any, entity: type[Entity], **values: Any) -> Any:
        """A record full of canaries: where a rule refuses one, the field gets an ordinary value, or none."""
        plain = {**self.values(unit, entity, whole=True), **values}
        fields = unit.site.meta(entity).fields
        currencies = {each.currency for each in fields.values()}
        canaries = {
            name: made
            for name in plain
            if name not in {*currencies, *values} and fields[name].target is None
            and (made := self.marked(fields[name])) is not None
        }  # fmt: skip
        for each in entity.meta.writable:
            if each.kind == "file":
                plain[each.name] = str(next(self.files))
        if others := [each.name for each in entity.meta.parents if each.name.startswith("other")]:
            target = str(entity.meta.fields[others[0]].target)
            plain[others[0]] = str(self.make(unit, entity_class(target)).id)
        fitting = self._fitting(entity.meta.name)
        plain = {name: value for name, value in {**plain, **fitting}.items() if value is not None}
        canaries = {name: value for name, value in canaries.items() if name not in fitting}
        for _ in range(6):
            try:
                with unit.session.begin_nested():
                    return self._create(unit, entity, {**plain, **canaries})
            except Conflict:
                fresh = self.values(unit, entity, whole=True)
                plain |= {name: value for name, value in fresh.items() if name in plain and name not in fitting}
            except Invalid as refused:
                bad = {problem.field for problem in refused.problems}
                if bad & canaries.keys():
                    canaries = {name: value for name, value in canaries.items() if name not in bad}
                else:
                    plain = without(entity, plain, refused)
        return self._create(unit, entity, {**self.values(unit, entity, whole=False), **values})

    def _fitting(self, name: str) -> dict[str, Any]:
        def canary(value: Any) -> Any:
            if isinstance(value, str):
                return value.format(f"canary{next(self.numbers)}") if "{}" in value else value
            if isinstance(value, list):
                return [canary(each) for each in value]
            return {key: canary(each) for key, each in value.items()} if isinstance(value, dict) else value

        return {key: canary(value) for key, value in FITTING.get(name, {}).items()}

    def _create(self, unit: Any, entity: type[Entity], values: Mapping[str, Any]) -> Any:
        meta = entity.meta
        if meta.writable and not any(each.readonly and each.required for each in meta.fields.values()):
            return unit.create(entity, values)
        # What only Rapport itself writes.
        self.number += 1
        given: dict[str, Any] = {}
        for each in meta.fields.values():
            if each.name in {"id", "version", "created_at", "updated_at", "archived_at"}:
                continue
            if each.kind == "file":
                given[each.name] = next(self.files)
            elif each.target == meta.name:
                continue
            elif each.target == "user":
                given[each.name] = self.owner.id
            elif each.target == "team":
                given[each.name] = self.team_id
            elif each.target or each.kind in {"reference", "id"}:
                given[each.name] = self.parent(unit, each.target or "customer")
            else:
                marked = self.marked(each)
                given[each.name] = each.load(marked if marked is not None else value_of(each, self.number))
        given |= self._fitting(meta.name)
        record = entity(**{name: value for name, value in given.items() if value is not None})
        unit.session.add(record)
        unit.flush()
        return record


@dataclass(frozen=True)
class Principal:
    """Somebody who asks, and by which ways they come in."""

    name: str
    actor: Actor | None = None
    """Whose rights they have; None for those who have none."""
    browser: FlaskClient | None = None
    api: FlaskClient | None = None
    portal: FlaskClient | None = None
    sees: frozenset[int] = frozenset()
    """The canaries they may read."""
    reads: frozenset[UUID] = frozenset()
    """The records they may read."""

    def way(self, path: str) -> FlaskClient | None:
        """How they ask for a path."""
        return self.api if path.startswith("/api/") else self.portal if path.startswith("/portal") else self.browser


@dataclass
class World:
    """The site, who is there, and what is there for them to see and not to see."""

    app: TestApp
    north: dict[str, UUID] = field(default_factory=dict)
    """A record of each kind that team North has, by the name of the kind."""
    south: dict[str, UUID] = field(default_factory=dict)
    beyond: dict[str, UUID] = field(default_factory=dict)
    """What belongs to neither."""
    principals: dict[str, Principal] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    """What is kept in secret fields: for nobody's eyes."""
    unmade: dict[str, str] = field(default_factory=dict)
    _kept: sqlite3.Connection | None = None
    _live: sqlite3.Connection | None = None

    @property
    def site(self) -> Any:
        return self.app.site

    # What changed ----------------------------------------------------------------------------------------------------

    def remember(self) -> None:
        """From here on `changed` and `put_back` mean this state."""
        path = make_url(self.site.config.database_url).database
        self._live = sqlite3.connect(str(path), isolation_level=None)
        self._kept = sqlite3.connect(":memory:", isolation_level=None)
        self._live.backup(self._kept)
        self._seen = self._stamp()

    def _stamp(self) -> int:
        assert self._live is not None
        return int(self._live.execute("PRAGMA data_version").fetchone()[0])

    def touched(self) -> bool:
        """Whether anything at all was committed since the last time this was asked."""
        stamp = self._stamp()
        found, self._seen = stamp != self._seen, stamp
        return found

    def changed(self) -> list[str]:
        """The tables that differ from what was remembered."""
        assert self._live is not None
        assert self._kept is not None
        names = [row[0] for row in self._kept.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [name for name in names if _rows(self._live, name) != _rows(self._kept, name)]

    def put_back(self) -> None:
        """Everything as it was remembered."""
        assert self._live is not None
        assert self._kept is not None
        self._kept.backup(self._live)
        self._seen = self._stamp()
        self.site.forget_actors()


def _rows(connection: sqlite3.Connection, table: str) -> set[Any]:
    return set(connection.execute(f'SELECT * FROM "{table}"'))


# Making it -----------------------------------------------------------------------------------------------------------


@contextmanager
def opened(home: Any, database_url: str = "") -> Iterator[World]:
    """A site with every plugin there is, filled, and ten principals who are signed in where they can be."""
    with make_test_site(home, database_url, plugins=sorted(discover())) as app:
        yield made(app)


def made(app: TestApp) -> World:
    """Fill a site, and let everybody in."""
    world = World(app)
    app.flask.config["PROPAGATE_EXCEPTIONS"] = False  # a view that fails answers 500, as it does in earnest
    north, south = app.team("North"), app.team("South")
    limit_members(app)
    people = {
        "member A": app.user("Nora North", teams=[north]),
        "member B": app.user("Sam South", teams=[south]),
        "manager": app.user("Mona Manager", roles=["manager"]),
        "viewer": app.user("Vera Viewer", roles=["viewer"], teams=[north]),
        "disabled": app.user("Dan Disabled", roles=["manager"], teams=[north]),
    }
    sets = (
        (world.north, people["member A"], north.id), (world.south, people["member B"], south.id),
        (world.beyond, app.admin, None),
    )  # fmt: skip
    for records, owner, team_id in sets:
        fill(world, records, Marked(app, owner, team_id))
    app.settle()
    _let_in(world, people)
    _look(world)
    return world


def limit_members(app: TestApp) -> None:
    """Members and viewers reach their team's records of every kind that is owned, and no others."""
    with app.site.write(app.admin) as unit:
        for role in ("member", "viewer"):
            grants = {
                permission: "team" if app.site.meta_named(permission.rpartition(".")[0]).owned else reach
                for permission, reach in app.site.grants[role].items()
                if reach != "own"
            }
            unit.create(Role, {"name": role, "grants": grants})


def fill(world: World, records: dict[str, UUID], marked: Marked) -> None:
    """A record of each kind, each in a unit of its own, so that what one cannot have does not cost the others."""
    app = world.app
    bytes_ = (f"canary{next(Marked.numbers)} is in here" for _ in iter(int, 1))
    marked.files = (
        store(app.site, io.BytesIO(next(bytes_).encode()), f"canary{next(Marked.numbers)}.txt", app.admin).id
        for _ in iter(int, 1)
    )
    ready = [store(app.site, io.BytesIO(next(bytes_).encode()), f"canary{next(Marked.numbers)}.txt", app.admin).id
             for _ in range(20)]  # fmt: skip
    marked.files = iter(ready)
    for entity in app.site.entities:
        name = entity.meta.name
        if name in NEVER_CHANGED:
            continue
        if name in marked._parents:
            records[name] = marked._parents[name]
            continue
        before = dict(marked._parents)
        try:
            with app.site.write(app.admin) as unit:
                records[name] = marked.parent(unit, name)
        except (RapportError, ValueError, KeyError) as error:
            marked._parents = before
            world.unmade[name] = str(error)


# Who is there --------------------------------------------------------------------------------------------------------


def _let_in(world: World, people: Mapping[str, Actor]) -> None:
    """Sign everybody in, and then disable the one who is disabled: their session and token are from before."""
    app, flask = world.app, world.app.flask
    found = {
        name: Principal(name, actor, _signed_in(app, actor), app.api(actor), flask.test_client())
        for name, actor in people.items()
    }
    scoped = people["member A"]
    found["scoped token"] = Principal(
        "scoped token", replace(scoped, scopes=frozenset(SCOPES)), None, app.api(scoped, scopes=SCOPES)
    )
    for name in ("anonymous", "web form"):  # both with the token of a page that anybody may open
        found[name] = Principal(name, None, _with_token(flask.test_client(), "/sign-in"), *(flask.test_client(),) * 2)
    for name, records in (("portal A", world.north), ("portal B", world.south)):
        found[name] = _in_portal(world, name, records["customer"])
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(User, people["disabled"].id), {"active": False})
    found["disabled"] = replace(found["disabled"], actor=None)
    world.principals = found


SCOPES = ("customer.read", "task.*")
"""What the scoped token is for."""


def _signed_in(app: TestApp, actor: Actor) -> FlaskClient:
    return _with_token(app.browser(actor), "/account")


def _with_token(browser: FlaskClient, url: str) -> FlaskClient:
    """A browser that proves with every request that it comes from a page of ours, and keeps its first session."""
    page = browser.get(url).get_data(as_text=True)
    browser.environ_base["HTTP_X_CSRFTOKEN"] = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    return _fixed(browser)


def _fixed(browser: FlaskClient) -> FlaskClient:
    """Sends the cookies it has now, whatever answers say."""
    cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in (browser._cookies or {}).values())
    kept = browser.application.test_client(use_cookies=False)
    kept.environ_base |= {**browser.environ_base, "HTTP_COOKIE": cookies}
    return kept


def _in_portal(world: World, name: str, customer_id: UUID) -> Principal:
    """A customer who has come in by their link, as the portal makes it."""
    from rapport_portal.accounts import Account, customer_actor, new_link

    app = world.app
    with app.site.write(system("test")) as unit:
        customer = unit.get(Customer, customer_id)
        account = unit.reader.all(Account, Account.customer_id == customer_id)[0]
        account.closed, account.stamp = False, "a stamp of the test's"
        token, actor = new_link(unit, account), customer_actor(app.site, customer)
    client = app.flask.test_client()
    answer = client.post(f"/portal/enter/{token}")
    assert answer.status_code == 302, answer.get_data(as_text=True)
    elsewhere = _with_token(app.flask.test_client(), "/sign-in")
    return Principal(name, actor, elsewhere, app.flask.test_client(), _fixed(client))


def _look(world: World) -> None:
    """What each may see, worked out here and not by what is tested: from owners, teams, grants and parents alone."""
    site = world.site
    rows = everything(site)
    for name, principal in world.principals.items():
        seen = set() if principal.actor is None else visible(site, rows, principal.actor)
        if principal.actor is not None:
            _with_workflows(rows, principal.actor, seen)
        tokens = frozenset(token for key in seen for token in rows[key].tokens) | _open(rows, name)
        world.principals[name] = replace(principal, sees=tokens, reads=frozenset(key[1] for key in seen))
    secret: set[str] = set()
    with site.db.read() as connection:
        for entity in site.entities:
            for each in entity.meta.fields.values():
                if each.secret and each.kind in {"text", "longtext"}:
                    values = connection.scalars(select(table_of(entity).c[each.name]))
                    secret |= {value for value in values if value and len(value) >= 8}
    # A key that is made of a name anybody may read is no secret.
    shown = "\n".join(repr(row.shown) for row in rows.values()).lower()
    world.secrets = frozenset(value for value in secret if value.lower() not in shown)


def _open(rows: Mapping[tuple[str, UUID], Row], principal: str) -> frozenset[int]:
    """What is shown to everybody, or to every customer."""
    found: set[int] = set()
    for (kind, _id), row in rows.items():
        everybody, shown, fields = OPEN.get(kind, (False, lambda _values: False, ()))
        if shown(row.values) and (everybody or principal.startswith("portal")):
            found |= tokens_in(" ".join(str(row.values.get(each)) for each in fields))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it lies in the database."""

    entity: type[Entity]
    values: Mapping[str, Any]
    tokens: frozenset[int]

    @property
    def shown(self) -> dict[str, Any]:
        """Without its secret fields."""
        secret = {each.name for each in self.entity.meta.fields.values() if each.secret}
        return {name: value for name, value in self.values.items() if name not in secret}


def everything(site: Any) -> dict[tuple[str, UUID], Row]:
    """Every record there is."""
    found: dict[tuple[str, UUID], Row] = {}
    with site.db.read() as connection:
        files = {row.id: _of_file(site, row) for row in connection.execute(select(stored_file))}
        for entity in site.entities:
            fields = entity.meta.fields.values()
            secret = {each.name for each in fields if each.secret}
            held = [each.name for each in fields if each.kind == "file"]
            for row in connection.execute(select(table_of(entity))).mappings():
                tokens = tokens_in(repr({key: value for key, value in row.items() if key not in secret}))
                tokens |= {token for name in held for token in files.get(row[name], ())}
                found[entity.meta.name, row["id"]] = Row(entity, row, frozenset(tokens))
    return found


def _of_file(site: Any, row: Any) -> set[int]:
    path = path_of(site.config, row.id)
    return tokens_in(row.name) | (tokens_in(path.read_text("utf-8", "replace")) if path.exists() else set())


def visible(site: Any, rows: Mapping[tuple[str, UUID], Row], actor: Actor) -> set[tuple[str, UUID]]:
    """The records that somebody may read."""
    known: dict[tuple[str, UUID], bool] = {}
    shared = {
        entity.meta.name: _by_their_own_rule(site, entity, actor)
        for entity in site.entities
        if {"row_scope", "is_shared"}
        & {name for base in entity.__mro__[:-1] if base is not Entity for name in vars(base)}
    }

    def seen(key: tuple[str, UUID]) -> bool:
        if key not in known:
            known[key] = False
            known[key] = key in rows and _may_read(rows[key], actor, shared, seen)
        return known[key]

    return {key for key in rows if seen(key)}


def _may_read(row: Row, actor: Actor, shared: Mapping[str, set[UUID]], seen: Any) -> bool:
    meta, values = row.entity.meta, row.values
    if meta.extends:
        return bool(seen((meta.extends, values["of_id"])))
    if actor.scopes is not None and not any(
        scope in {meta.permission("read"), f"{meta.name}.*"} for scope in actor.scopes
    ):
        return False
    reach = actor.grants.get(meta.permission("read"))
    if reach is None:
        return False
    if actor.customer_id is not None:
        return bool(actor.customer_id == values["id" if meta.name == "customer" else "customer_id"])
    if meta.name in shared:
        return values["id"] in shared[meta.name]
    if meta.owned and reach != "all":
        mine = values["owner_id"] == actor.id or (reach == "team" and values["team_id"] in actor.team_ids)
        if not mine:
            return False
    return all(seen((each.target, values[each.name])) for each in meta.parents)


def _with_workflows(rows: Mapping[tuple[str, UUID], Row], actor: Actor, seen: set[tuple[str, UUID]]) -> None:
    """Who may read a record sees the workflows that run for it, and everybody what they themselves are asked."""
    for (kind, record_id), row in rows.items():
        if kind == "workflow_instance" and (row.values["entity"], row.values["record_id"]) in seen:
            seen |= {(kind, record_id), ("workflow", row.values["workflow_id"]),
                     ("workflow_version", row.values["version_id"])}  # fmt: skip
            seen |= {key for key, each in rows.items()
                     if key[0] == "approval" and each.values["instance_id"] == record_id}  # fmt: skip
        if kind == "approval" and actor.id is not None and row.values["owner_id"] == actor.id:
            seen.add((kind, record_id))


def _by_their_own_rule(site: Any, entity: type[Entity], actor: Actor) -> set[UUID]:
    """Kinds that say more than owner and team: theirs is the rule, and their plugins' tests hold it."""
    with site.read(actor) as reader:
        if not actor.may(entity.meta.permission("read")):
            return set()
        return set(reader.session.scalars(select(entity.id)))
