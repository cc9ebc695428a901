"""Whoever asks, by whichever address: they read what they may, change what they may, and learn of nothing else."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from rapport import uuid7
from rapport.access import Actor
from rapport.errors import Forbidden, RapportError
from rapport.files import stored_file
from rapport.http import policy_of
from rapport.records import reader as readers
from rapport.records.reader import Reader
from tests.security import walk
from tests.security.walk import Found, Request, check, some
from tests.security.world import FITTING, OPEN, Marked, Principal, World, everything, tokens_in, visible
from tests.torture import LONG, tally, tries

ALIKE = tries(1, long=1000)
"""How many requests of each shape everybody sends: in the long form all of them."""
UNMADE = {"layout": "there is one for each kind and place", "sales.turn": "there is one for each team"}
"""Kinds of which not everybody has a record."""
NOT_BY_THE_RECORD = {
    "act": "each action says what it needs", "ask_for_action": "as `act`", "bulk": "as `act`, for many",
    "add_filter": "a piece of a list's page, with no record in it", "choose_columns": "one's own list",
    "set_many": "a form with no record in it", "move_card": "the stage it moves to may ask for more",
}  # fmt: skip
"""Views of every kind of record that decide by something else than one permission of the kind."""


class Heard(logging.Handler):
    """All that is logged meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


# A2: nothing is without its row --------------------------------------------------------------------------------------


def test_every_route_is_asked_for_and_every_exemption_is_needed(world: World, requests: list[Request]) -> None:
    app = world.app.flask
    asked = {(request.endpoint, request.method) for request in requests}
    there = {
        (rule.endpoint, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD", "TRACE"}
    }
    assert there - asked == set()
    assert [rule for rule in app.url_map.iter_rules() if policy_of(app.view_functions[rule.endpoint]) is None] == []
    by_name = {
        rule.endpoint.partition(".")[2]
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/<name>", "/suggest/<target>")) and policy_of(app.view_functions[rule.endpoint]) == ""
    }
    assert by_name - walk.BY_THE_RECORD.keys() - NOT_BY_THE_RECORD.keys() == set(), "who may call these?"
    everywhere = {endpoint.partition(".")[2] for endpoint in app.view_functions if endpoint.startswith("web.")}
    assert (walk.BY_THE_RECORD.keys() | NOT_BY_THE_RECORD.keys()) - everywhere == set(), "these are gone"
    assert app.view_functions.keys() >= walk.WHOLE
    assert (FITTING.keys() | OPEN.keys() | UNMADE.keys()) - set(world.site.entities.names()) == set(), "these are gone"
    tally("A2", "routes and methods with an expectation", tried=len(there), uncovered=0, stale=0)


def test_every_kind_of_record_is_there_twice_and_full_of_canaries(world: World) -> None:
    assert world.unmade.keys() - UNMADE.keys() == set(), world.unmade
    kinds = set(world.site.entities.names())
    assert kinds - world.north.keys() - {"user", "team", "membership", "role", "user_role", "token"} <= UNMADE.keys()
    rows = everything(world.site)
    bare = {row.entity.meta.name for row in rows.values()} - {
        row.entity.meta.name for row in rows.values() if row.tokens
    }
    texts = {
        entity.meta.name
        for entity in world.site.entities
        if any(f.kind in {"text", "longtext"} and not f.secret and not f.choices for f in entity.meta.writable)
    }
    assert bare & texts <= {"user_role", "role", "token"}


def test_of_every_kind_of_record_one_that_is_not_there_is_not_found(world: World) -> None:
    names, nowhere = [entity.meta.name for entity in world.site.entities], uuid7()
    assert len(names) > 90
    client = world.app.client  # the administrator's
    assert {client.get(f"/api/v1/{name}/{nowhere}").status_code for name in names} == {404}
    world.put_back()  # that its token was used is noted


def test_what_lists_give_is_what_owners_teams_and_grants_allow(world: World) -> None:
    """The guard's SQL against the same rules written down a second time."""
    rows, tried = everything(world.site), 0
    for principal in world.principals.values():
        if principal.actor is None:
            continue
        mine = visible(world.site, rows, principal.actor)
        with world.site.read(principal.actor) as reader:
            for entity in world.site.entities:
                name = entity.meta.name
                found = {(name, record_id) for record_id in reader.session.scalars(select(entity.id))}
                assert found == {key for key in mine if key[0] == name}, (principal.name, name)
                tried += 1
    tally("A1", "kinds of record by principals: rows in reach", tried=tried, wrong=0)


# A1: everybody, everywhere -------------------------------------------------------------------------------------------


PRINCIPALS = ("anonymous", "web form", "portal A", "portal B", "member A", "member B", "manager", "viewer",
              "scoped token", "disabled")  # fmt: skip
IN_TURN = ("member B", "manager", "viewer")
"""In the short form each asks for a third of what member A asks for: what it costs is pages that are shown."""


@pytest.mark.timeout(3600 if LONG else 600)
@pytest.mark.parametrize("name", PRINCIPALS)
def test_nobody_reads_or_changes_what_is_not_theirs(
    world: World, requests: list[Request], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    principal, found, heard = world.principals[name], Found(), Heard()
    logging.getLogger().addHandler(heard)
    try:
        asked = some(requests, name, ALIKE)
        if not LONG and name in IN_TURN:
            asked = asked[IN_TURN.index(name) :: len(IN_TURN)]
        for request in asked:
            check(world, request, principal, found)
    finally:
        logging.getLogger().removeHandler(heard)
    assert found.wrong == {}
    told = [line for line in heard.lines if tokens_in(line) or any(secret in line for secret in world.secrets)]
    assert told == []
    assert found.refused > 0
    tally("A1", f"requests of {name}", tried=found.cells, refused=found.refused, answered=found.answered,
          hidden_as_missing=found.compared, leaked=0, changed_after_refusal=0, faults=0)  # fmt: skip


def test_without_the_token_of_our_own_page_nothing_is_sent(world: World, requests: list[Request]) -> None:
    """The manager's browser, lured by somebody else's page: with their session, and without the token."""
    found = Found()
    lured(world, [each for each in some(requests, "lured", 1) if not each.path.startswith("/api/")], found)
    assert found.wrong == {}
    tally("A1", "requests that another page makes a browser send", tried=found.cells, accepted=0, changed=0)


def lured(world: World, requests: list[Request], found: Found) -> None:
    """Send what changes things as the manager, from a page that is not ours."""
    browser = world.principals["manager"].browser
    assert browser is not None
    environ = {key: value for key, value in browser.environ_base.items() if key != "HTTP_X_CSRFTOKEN"}
    other = browser.application.test_client(use_cookies=False)
    other.environ_base = environ
    for request in requests:
        if request.method in walk.READING or request.path.startswith("/portal") or request.policy == "public":
            continue
        answer = other.open(request.path, method=request.method, data=dict(request.form or {}))
        found.cells += 1
        if answer.status_code != 400:
            found.note("taken from another page", request, world.principals["manager"], str(answer.status_code))
        if world.touched() and (changed := set(world.changed()) - walk.NOTED.keys()):
            found.note("changed", request, world.principals["manager"], str(changed))
            world.put_back()


def test_what_was_read_too_long_ago_is_not_written_over(world: World, requests: list[Request]) -> None:
    found = Found()
    stale(world, requests, found)
    assert found.wrong == {}
    tally("A1", "changes with an old version, by kind of record", tried=found.cells, written=0)


def stale(world: World, requests: list[Request], found: Found) -> None:
    """Change and delete one's records with a version they do not have (any more), or with none."""
    manager = world.principals["manager"]
    assert manager.api is not None
    for request in requests:
        if request.method not in {"PATCH", "DELETE"} or request.own != "north":
            continue
        for headers, expected in (({"If-Match": '"999"'}, 412), ({}, 428)):
            answer = manager.api.open(request.path, method=request.method, json=request.json, headers=headers)
            found.cells += 1
            if answer.status_code not in {expected, 403, 404}:
                found.note("written over", request, manager, f"{answer.status_code} instead of {expected}")
            if world.touched() and set(world.changed()) - walk.NOTED.keys():
                found.note("changed", request, manager, str(answer.status_code))
                world.put_back()


def test_nobody_filters_or_sorts_by_what_is_secret(world: World) -> None:
    found = Found()
    by_secrets(world, found)
    assert found.wrong == {}
    tally("A1", "secret fields in filters, sorts and choices of fields", tried=found.cells, answered=0)


def by_secrets(world: World, found: Found) -> None:
    """As an administrator, who reads every record, and no secret."""
    client = world.app.client  # whose token is put back with everything else
    for entity in world.site.entities:
        name = entity.meta.name
        for each in entity.meta.fields.values():
            if not each.secret:
                continue
            for query in ({"filter": f'{each.name} = "x"'}, {"sort": each.name}, {"fields": each.name}):
                answer = client.get(f"/api/v1/{name}", query_string=query)
                found.cells += 1
                if answer.status_code not in {400, 422}:
                    found.wrong[f"{name}.{each.name} {query}"] = str(answer.status_code)
    world.put_back()


# A3: two worlds that differ only in what is hidden -------------------------------------------------------------------


NOW = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+-]+Z?|\b\d+ (?:seconds?|minutes?|hours?) ago\b|just now")


def told(request: Request, who: Principal) -> tuple[int, str]:
    """An answer without what differs from one moment to the next."""
    with walk.send(request, who) as answer:
        status, text = walk.normal(answer)
    return status, NOW.sub("a time", text)


def change_what_is_hidden(world: World, who: Principal) -> int:
    """More records that somebody does not see, and other values in those there are. Returns how many."""
    site, done = world.site, 0
    hidden = {name: record_id for name, record_id in world.south.items() if record_id not in who.reads}
    owner = world.principals["member B"].actor
    assert owner is not None
    marked = Marked(world.app, owner, min(owner.team_ids))
    marked.files = iter(())
    for name, record_id in hidden.items():
        entity = site.entities[name]
        if not entity.meta.owned or any(f.kind == "file" for f in entity.meta.writable):
            continue
        marked._parents = dict(world.south)
        values = {f.name: "hidden otherwise" for f in entity.meta.writable
                  if f.kind == "text" and not f.choices and not f.unique and f.name == entity.meta.display}  # fmt: skip
        with contextlib.suppress(RapportError, StopIteration), site.write(world.app.admin) as unit:
            unit.update(unit.get(entity, record_id), values)
            done += 1
        with contextlib.suppress(RapportError, StopIteration), site.write(world.app.admin) as unit:
            made = marked.make(unit, entity)
            if made.owner_id != marked.owner.id:
                raise Forbidden(name, "it would be seen")
            done += 1
    return done


def questions(world: World, requests: list[Request], how_many: int) -> list[Request]:
    """Lists, counts, sorts, filters, groups, searches, suggestions, next pages; some of each kind of record."""
    plain = [each for each in requests if each.method == "GET" and each.own in {"", "north", "missing"}
             and not each.path.startswith(("/portal", "/admin", "/account"))]  # fmt: skip
    names = [entity.meta.name for entity in world.site.entities if entity.meta.owned]

    @st.composite
    def asked(draw: Any) -> Request:
        name = draw(st.sampled_from(names))
        fields = [f for f in world.site.meta_named(name).visible if f.kind in {"text", "integer", "money", "date"}]
        query: dict[str, Any] = {"limit": draw(st.integers(1, 3)), "archived": draw(st.sampled_from(["true", "false"]))}
        if fields:
            query["sort"] = draw(st.sampled_from(["", "-"])) + draw(st.sampled_from(fields)).name
            texts = [f.name for f in fields if f.kind == "text" and not f.choices]
            if texts and draw(st.booleans()):
                word = draw(st.sampled_from(["canary", "hidden", "1", "otherwise"]))
                query["filter"] = f'{draw(st.sampled_from(texts))} contains "{word}"'
        if draw(st.booleans()):
            query["count"] = "true"
        return Request("GET", f"/api/v1/{name}", "api", "", "", name, query=query)

    found: list[Request] = []

    @settings(max_examples=how_many, database=None, derandomize=True, deadline=None)
    @given(asked())
    def draw_them(request: Request) -> None:
        found.append(request)

    draw_them()
    return [*found, *some(plain, "member A", 1)[: 4 * how_many]]


def differing(world: World, requests: list[Request], who: Principal) -> tuple[int, dict[str, str]]:
    """Ask the same in both worlds; what was answered differently, by request."""
    first = [told(each, who) for each in requests]
    world.put_back()
    try:
        changed = change_what_is_hidden(world, who)
        world.site.forget_actors()
        second = [told(each, who) for each in requests]
    finally:
        world.put_back()
    wrong: dict[str, str] = {}
    for request, one, two in zip(requests, first, second, strict=True):
        if one != two:
            lines = zip(one[1].splitlines(), two[1].splitlines(), strict=False)
            wrong[str(request)] = next((f"{a!r} / {b!r}"[:300] for a, b in lines if a != b), f"{one[0]} / {two[0]}")
    return changed, wrong


@pytest.mark.timeout(7200 if LONG else 500)
def test_two_worlds_that_differ_in_what_is_hidden_answer_alike(world: World, requests: list[Request]) -> None:
    asked = questions(world, requests, tries(20, long=5_000))
    changed, wrong = differing(world, asked, world.principals["member A"])
    assert changed > 20
    assert wrong == {}
    tally("A3", "questions to two worlds that differ in hidden records", tried=len(asked), hidden=changed, different=0)


def test_what_tells_the_worlds_apart_is_found(
    world: World, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rapport.records.session.row_scope", lambda *_: None)
    asked = [Request("GET", "/api/v1/customer", "api", "", "", "customer", query={"limit": 1, "sort": "-name"})]
    try:
        _changed, wrong = differing(world, asked, world.principals["member A"])
    finally:
        monkeypatch.undo()
        world.put_back()
    assert wrong != {}
    tally("D22", "defects of access made on purpose", tried=1, killed=1)


# D22: does any of it bite? -------------------------------------------------------------------------------------------


def _scope_dropped_on_one_path(monkeypatch: pytest.MonkeyPatch, _world: World) -> None:
    monkeypatch.setattr("rapport.records.reader.row_scope", lambda *_: None)


def _sessions_without_scopes(monkeypatch: pytest.MonkeyPatch, _world: World) -> None:
    monkeypatch.setattr("rapport.records.session.row_scope", lambda *_: None)


def _permission_never_asked(monkeypatch: pytest.MonkeyPatch, _world: World) -> None:
    monkeypatch.setattr("rapport.access.actors.Actor.require", lambda *_: None)


def _scopes_of_tokens_forgotten(monkeypatch: pytest.MonkeyPatch, _world: World) -> None:
    monkeypatch.setattr("rapport.access.actors._covered", lambda *_: True)


def _written_before_it_is_refused(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    require = Actor.require

    def written(actor: Actor, permission: str) -> None:
        if not actor.may(permission):
            with world.site.db.write() as connection:
                connection.execute(update(stored_file).values(size=stored_file.c.size + 1))
        require(actor, permission)

    monkeypatch.setattr("rapport.access.actors.Actor.require", written)


def _hidden_is_forbidden_not_missing(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def telling(meta: Any, record_id: Any) -> Exception:
        there = world.site.entities[meta.name]
        with world.site.db.read() as connection:
            found = connection.execute(select(there.id).where(there.id == record_id)).first()
        return Forbidden(meta.name, "not yours") if found else missing(meta, record_id)

    missing = readers.missing
    monkeypatch.setattr(readers, "missing", telling)


def _disabled_people_stay(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    admin = world.app.admin
    monkeypatch.setattr(world.site, "remembered", lambda _key, _find: admin)


def _customers_reach_everybodys(monkeypatch: pytest.MonkeyPatch, _world: World) -> None:
    monkeypatch.setattr("rapport.access.scopes._of_customer", lambda *_: None)


def _reading_changes(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    row = Reader.row

    def marked(reader: Reader, *arguments: Any, **options: Any) -> Any:
        with world.site.db.write() as connection:
            connection.execute(update(stored_file).values(size=stored_file.c.size + 1))
        return row(reader, *arguments, **options)

    monkeypatch.setattr(Reader, "row", marked)


def _canary_in_a_header(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def told(answer: Any) -> Any:
        answer.headers["X-Title"] = f"canary{max(world.principals['manager'].sees)}"
        return answer

    monkeypatch.setitem(world.app.flask.after_request_funcs, None, [told])


Pick = tuple[str, str, str]
MUTANTS: dict[str, tuple[Any, str, list[Pick], str]] = {
    "scope dropped on one path": (
        _scope_dropped_on_one_path, "member A", [("api.customer-get", "GET", "south")], "leak"),
    "sessions without scopes": (
        _sessions_without_scopes, "member A", [("web.list_page", "GET", ""), ("api.customer-list", "GET", "")], "leak"),
    "permission never asked": (
        _permission_never_asked, "viewer", [("api.customer-create", "POST", "")], "not refused"),
    "scopes of tokens forgotten": (
        _scopes_of_tokens_forgotten, "scoped token", [("api.interaction-list", "GET", "")], "leak"),
    "written before it is refused": (
        _written_before_it_is_refused, "viewer", [("api.customer-create", "POST", "")], "changed"),
    "hidden is forbidden, not missing": (
        _hidden_is_forbidden_not_missing, "member A", [("api.customer-get", "GET", "south")], "hidden looks different"),
    "disabled people stay": (
        _disabled_people_stay, "disabled", [("api.customer-list", "GET", ""), ("web.home", "GET", "")], "not refused"),
    "customers reach everybody's": (
        _customers_reach_everybodys, "portal A", [("portal.service_3_requests", "GET", ""),
                                                  ("portal.sales_0_quotes", "GET", "")], "leak"),
    "reading changes": (
        _reading_changes, "member A", [("api.customer-get", "GET", "north")], "changed"),
    "a canary in a header": (
        _canary_in_a_header, "anonymous", [("web.sign_in", "GET", "")], "leak"),
}  # fmt: skip
"""Defects made on purpose: how, who notices, by which requests, and what the walk then says."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_defect_made_on_purpose_is_found(
    world: World, requests: list[Request], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks, principal, picks, expected = MUTANTS[name]
    asked = [each for pick in picks for each in requests if (each.endpoint, each.method, each.own) == pick]
    asked = asked[:3]
    sound = Found()
    for request in asked:
        check(world, request, world.principals[principal], sound)
    assert sound.wrong == {}
    world.site.forget_actors()
    found = Found()
    try:
        breaks(monkeypatch, world)
        for request in asked:
            check(world, request, world.principals[principal], found)
    finally:
        monkeypatch.undo()
        world.put_back()
    assert any(said.startswith(expected) for said in found.wrong), found
    tally("D22", "defects of access made on purpose", tried=1, killed=1)


@pytest.mark.parametrize("name", ["csrf exempt", "version check off", "secret field in a filter"])
def test_a_defect_of_the_border_is_found(
    world: World, requests: list[Request], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Found()
    try:
        if name == "csrf exempt":
            monkeypatch.setitem(world.app.flask.config, "WTF_CSRF_ENABLED", False)
            lured(world, [each for each in requests if each.endpoint == "web.save_view" and each.form][:2], found)
        elif name == "version check off":
            monkeypatch.setattr("rapport.records.unit.Unit._check_version", lambda *_: None)
            stale(world, [each for each in requests if each.endpoint.startswith("api.customer-")], found)
        else:
            monkeypatch.setattr("rapport.query.bind.visible", lambda meta: dict(meta.fields))
            by_secrets(world, found)
    finally:
        monkeypatch.undo()
        world.put_back()
    assert found.wrong != {}
    tally("D22", "defects of access made on purpose", tried=1, killed=1)
