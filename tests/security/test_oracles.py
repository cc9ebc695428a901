"""What somebody may not see changes no answer they get: not by what it says, how much there is, or what is refused."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import String, type_coerce, update

from rapport import Customer
from rapport.access import Actor, Role
from rapport.builtin.exchange import imports
from rapport.builtin.exchange.lookups import Lookup
from rapport.customers import ContactPoint
from rapport.entities import table_of
from rapport.errors import RapportError
from rapport.query.search import search_ids
from rapport.records import Reader
from rapport.testing import TestApp
from tests.security.test_access import NOW, change_what_is_hidden, told
from tests.security.walk import IDS, Request
from tests.security.world import Principal, World
from tests.torture import LONG, tally, tries

HILDA = {"name": "Hilda Hidden", "email": "hilda@hidden.example", "phone": "+442079460999"}
"""Who is there in the second world only, and whom nobody must notice."""
WORDS = ("Hilda Hidden", "hilda@hidden.example", "+442079460999", "hidden otherwise", "canary", "Hilda", "Nora", "zz")
SECRET_OF_ITSELF = {"user", "token", "portal.account"}
"""Their secrets are what one signs in with."""
Ask = Callable[[World, Principal, str, str], str]


# Doors ---------------------------------------------------------------------------------------------------------------


def by_search(world: World, who: Principal, name: str, word: str) -> str:
    asked = [
        Request("GET", "/search", "web.search", "", "", query={"q": word}),
        Request("GET", "/api/v1/search", "api.search", "", "", query={"q": word}),
        Request("GET", f"/{name}", "web.list_page", "", "", name, query={"search": word}),
    ]
    return "\n".join(str(told(each, who)) for each in asked)


def by_picker(world: World, who: Principal, name: str, word: str) -> str:
    """What is suggested while one types."""
    return str(told(Request("GET", f"/suggest/{name}", "web.suggest", "", "", name, query={"q": word}), who))


def by_pages(world: World, who: Principal, name: str, word: str) -> str:
    """A list, page by page, with its count; the marks of its pages are compared as they are."""
    assert who.api is not None
    said, query = [], {"q": word, "limit": "2", "count": "true", "sort": "-updated_at"}
    for _page in range(3):
        answer = who.api.get(f"/api/v1/{name}", query_string=query)
        said.append(NOW.sub("a time", answer.get_data(as_text=True)))
        cursor = (answer.get_json() or {}).get("next") if answer.status_code == 200 else None
        if cursor is None:
            break
        query["cursor"] = cursor
    return "\n".join(said)


def by_export(world: World, who: Principal, name: str, word: str) -> str:
    asked = [
        Request("GET", f"/api/v1/{name}/export", "api.export", "", "", name, query={"q": word, "format": "ndjson"}),
        Request("GET", f"/{name}/export", "web.export_list", "", "", name, query={"format": "csv"}),
    ]
    return "\n".join(str(told(each, who)) for each in asked)


def by_board(world: World, who: Principal, name: str, word: str) -> str:
    return str(told(Request("GET", f"/{name}/board", "web.board", "", "", name, query={"search": word}), who))


def by_duplicates(world: World, who: Principal, name: str, word: str) -> str:
    """The warning while a customer is typed."""
    kind = "email" if "@" in word else "phone" if word.startswith("+") else "name"
    form = {kind: word, "given_name": word, "name": word}
    return str(told(Request("POST", "/customer/duplicates", "web.duplicates", "", "", form=form), who))


def by_import(world: World, who: Principal, name: str, word: str) -> str:
    """All that the check of a file says: counts, reasons, unknown values and what looks like them, refused rows."""
    site, actor, meta = world.site, who.actor, world.site.meta_named(name)
    assert actor is not None
    fields = [f for f in meta.writable if f.target] if word in WORDS[::2] else []  # without, a row gets further
    columns = {f.name: word for f in fields} | {meta.display: word} | ({"email": word} if "@" in word else {})
    columns = {each: value for each, value in columns.items() if each in {f.name for f in meta.writable}}
    said: list[Any] = []
    try:
        text = f"{';'.join(columns)}\n{';'.join(columns.values())}\n"
        run = imports.start(site, actor, name, text.encode(), "file.csv")
        keys = [each for each in (meta.display, "email") if each in columns][:1]
        imports.decide(site, actor, run.id, mapping={each: each for each in columns}, match_by=keys, on_match="update")
        run = imports.check(site, actor, run.id)
        refused = io.BytesIO()
        imports.write_refused(site, actor, run.id, refused)
        said = [
            run.created, run.updated, run.unchanged, run.refused, imports.problems(site, actor, run.id),
            imports.unknown(site, actor, run.id), refused.getvalue(), imports.look(site, actor, run.id).rows,
            [imports.choices(site, actor, run.id, f.name, word) for f in fields],
        ]  # fmt: skip
        imports.forget(site, actor, run.id)
    except RapportError as error:
        said.append(f"{type(error).__name__}: {error}")
    return IDS.sub("an id", re.sub(r"[Ii]mport \d+", "the import", str(said)))


def by_analysis(world: World, who: Principal, name: str, word: str) -> str:
    """Figures of the warehouse: `name` is a measure here, and `word` a dimension."""
    query = {"measures": name, "rows": word}
    asked = [
        Request("GET", "/api/v1/warehouse.cube", "warehouse_api.cube", "", "", query=query),
        Request("GET", "/api/v1/warehouse.drill", "warehouse_api.records", "", "", query={**query, "limit": 3}),
        Request("GET", "/api/v1/warehouse.members", "warehouse_api.choices", "", "", query={"dimension": word}),
    ]
    return "\n".join(str(told(each, who)) for each in asked)


def by_refusal(world: World, who: Principal, name: str, word: str) -> str:
    """Changing what is not theirs, making what they may not make: refused in the same words, whatever is there."""
    assert who.api is not None
    viewer, said = world.principals["viewer"], []
    values = {f.name: word for f in world.site.meta_named(name).writable if f.unique and f.kind == "text"}
    assert viewer.api is not None
    for client, method, path, body in (
        (viewer.api, "POST", f"/api/v1/{name}", {**values, "name": word}),
        (who.api, "PATCH", f"/api/v1/{name}/{world.south.get(name, world.south['customer'])}", {**values}),
        (who.api, "DELETE", f"/api/v1/{name}/{world.south.get(name, world.south['customer'])}", None),
    ):
        answer = client.open(path, method=method, json=body, headers={"If-Match": '"1"'})
        said.append((answer.status_code, IDS.sub("an id", answer.get_data(as_text=True))))
    return str(said)


DOORS: dict[str, Ask] = {
    "searches": by_search, "pickers": by_picker, "pages of lists": by_pages, "exports": by_export, "boards": by_board,
    "warnings of duplicates": by_duplicates, "checks of imports": by_import, "figures of the warehouse": by_analysis,
    "refusals": by_refusal,
}  # fmt: skip


# Two worlds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """One question: by which door, about which kind of record, with which word."""

    door: str
    name: str
    word: str


def probes(world: World, who: Principal, how_many: int) -> list[Probe]:
    """Some for every door, drawn from all kinds of records, measures and dimensions there are."""
    from rapport_warehouse import offered

    assert who.actor is not None
    with world.site.read(who.actor) as reader:
        offer = offered(reader)
    pairs = [(name, at) for name, fitting in offer.fits.items() for at in sorted(fitting)]
    kinds = [entity.meta.name for entity in world.site.entities if entity.meta.listed]
    staged = [entity.meta.name for entity in world.site.entities if entity.meta.staged]
    taken = [name for name in kinds if who.actor.may(world.site.meta_named(name).permission("import"))]

    @st.composite
    def drawn(draw: Any) -> Probe:
        door = draw(st.sampled_from(list(DOORS)))
        if door == "figures of the warehouse":
            return Probe(door, *draw(st.sampled_from(pairs)))
        of = {"boards": staged, "checks of imports": taken}.get(door, kinds)
        return Probe(door, draw(st.sampled_from(["customer", *of] if "customer" in of else of)),
                     draw(st.sampled_from(WORDS)))  # fmt: skip

    found: list[Probe] = []

    @settings(max_examples=how_many, database=None, derandomize=True, deadline=None)
    @given(drawn())
    def draw_them(probe: Probe) -> None:
        found.append(probe)

    draw_them()
    # Whatever chance leaves out: each door once, for customers, asking for Hilda.
    pair = pairs[0]
    always = [Probe(door, *pair) if door == "figures of the warehouse" else
              Probe(door, staged[0] if door == "boards" else "customer", word)
              for door in DOORS for word in WORDS[:2]]  # fmt: skip
    return list(dict.fromkeys([*always, *found]))


def hide_more(world: World, who: Principal) -> int:
    """The second world: more records, other values and other secrets, none of which somebody may see."""
    done = change_what_is_hidden(world, who)
    owner = world.principals["member B"].actor
    assert owner is not None
    with world.site.write(owner) as unit:
        hilda = unit.create(Customer, HILDA)
        unit.create(ContactPoint, {"customer_id": str(hilda.id), "kind": "email", "value": "canary@example.com"})
    with world.site.db.write() as connection:
        for entity in world.site.entities:
            table = table_of(entity)
            names = [f.name for f in entity.meta.fields.values() if f.secret and f.kind in {"text", "longtext"}]
            if names and entity.meta.name not in SECRET_OF_ITSELF:
                others = {name: type_coerce(table.c[name], String) + "x" for name in names}
                done += connection.execute(update(table).values(others)).rowcount
    return done + 2


def differing(world: World, who: Principal, asked: list[Probe]) -> tuple[int, dict[Probe, str]]:
    """Ask the same in both worlds; what was answered differently."""
    from rapport_warehouse import refresh

    refresh(world.site)
    first = [DOORS[each.door](world, who, each.name, each.word) for each in asked]
    world.put_back()
    try:
        hidden = hide_more(world, who)
        refresh(world.site)
        world.site.forget_actors()
        second = [DOORS[each.door](world, who, each.name, each.word) for each in asked]
    finally:
        world.put_back()
    return hidden, {each: _where(one, two) for each, one, two in zip(asked, first, second, strict=True) if one != two}


def _where(one: str, two: str) -> str:
    at = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return f"{one[max(0, at - 60) : at + 120]!r} / {two[max(0, at - 60) : at + 120]!r}"


@pytest.mark.timeout(7200 if LONG else 500)
def test_two_worlds_that_differ_in_what_is_hidden_answer_alike_at_every_door(world: World) -> None:
    who = world.principals["member A"]
    asked = probes(world, who, tries(40, long=5_000))
    hidden, wrong = differing(world, who, asked)
    assert hidden > 20
    assert wrong == {}
    for door in DOORS:
        count = sum(each.door == door for each in asked)
        tally("A3", f"two worlds that differ in what is hidden: {door}", tried=count, different=0)


def _duplicates_of_all(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    from rapport.builtin.web import records

    find = records.find_duplicates

    def of_all(_reader: Reader, values: Any, **options: Any) -> Any:
        with world.site.read(world.app.admin) as everybodys:
            return find(everybodys, values, **options)

    monkeypatch.setattr(records, "find_duplicates", of_all)


def _lookups_of_all(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    find = Lookup.find

    def of_all(lookup: Lookup, _reader: Reader, texts: Any) -> None:
        with world.site.read(world.app.admin) as everybodys:
            find(lookup, everybodys, texts)

    monkeypatch.setattr(Lookup, "find", of_all)


def _counts_of_all(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    count = Reader.count

    def of_all(_reader: Reader, entity: Any, *_conditions: Any, **options: Any) -> Any:
        with world.site.read(world.app.admin) as everybodys:
            return count(everybodys, entity, entity.archived_at.is_(None), **options)

    monkeypatch.setattr(Reader, "count", of_all)


LEAKS = {
    "warnings of duplicates": (_duplicates_of_all, Probe("warnings of duplicates", "customer", "Hilda Hidden")),
    "checks of imports": (_lookups_of_all, Probe("checks of imports", "customer", "Hilda Hidden")),
    "pages of lists": (_counts_of_all, Probe("pages of lists", "customer", "canary")),
}


@pytest.mark.parametrize("door", LEAKS)
def test_what_tells_the_worlds_apart_is_found(world: World, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leak, probe = LEAKS[door]
    try:
        leak(monkeypatch, world)
        _hidden, wrong = differing(world, world.principals["member A"], [probe])
    finally:
        monkeypatch.undo()
        world.put_back()
    assert wrong.keys() == {probe}
    tally("A3", f"two worlds that differ in what is hidden: {door}", tried=0, control=1)


# What can only be there once -----------------------------------------------------------------------------------------


def test_a_conflict_says_the_same_whoever_has_what_is_taken(world: World) -> None:
    """That something is taken can be noticed: there can be but one. Whose it is, what, and whether one sees it, not."""
    manager, member = world.principals["manager"], world.principals["member A"]
    assert manager.api is not None
    assert member.api is not None
    tried = 0
    for entity in world.site.entities:
        name, meta = entity.meta.name, world.site.meta(entity)
        unique = [f for f in meta.writable if f.unique and f.kind in {"text", "email"} and not f.secret]
        if not unique or not entity.meta.owned or name not in world.north or name not in world.south:
            continue
        if member.actor is None or not member.actor.may(meta.permission("update")):
            continue
        for field in unique:
            said = []
            for other in (world.south[name], _second(world, entity, member)):
                if other is None:
                    break
                value = _value(world, entity, other, field.name)
                if not value:
                    break
                answer = member.api.patch(
                    f"/api/v1/{name}/{world.north[name]}", json={field.name: value}, headers={"If-Match": '"1"'}
                )
                world.put_back()
                said.append((answer.status_code, answer.get_data(as_text=True).replace(value, "…")))
            if len(said) == 2:
                assert said[0] == said[1]
                tried += 1
    assert tried > 0
    tally("A3", "conflicts with a hidden record and with one's own: told apart", tried=tried, different=0)


def _value(world: World, entity: Any, record_id: Any, name: str) -> str:
    with world.site.read(world.app.admin) as reader:
        return str(getattr(reader.get(entity, record_id), name) or "")


def _second(world: World, entity: Any, who: Principal) -> Any:
    """Another record of somebody's own."""
    with world.site.read(who.actor) as reader:
        found = [each.id for each in reader.all(entity) if each.id != world.north[entity.meta.name]]
    return found[0] if found else None


# Room ----------------------------------------------------------------------------------------------------------------


def crowded(app: TestApp) -> tuple[Actor, Any]:
    """Somebody with one customer, the oldest of 500 of one name, the others of which are somebody else's."""
    with app.site.write(app.admin) as unit:
        unit.create(Role, {"name": "seller", "grants": {"customer.read": "own"}})
    seller, other = app.user("Sally Seller", roles=["seller"]), app.user("Otto Other")
    with app.site.write(app.admin) as unit:
        mine = unit.create(Customer, {"name": "Zoe Common", "owner_id": str(seller.id)})
        others = [unit.build(Customer, {"name": f"Common {n:03}", "owner_id": other.id})[0] for n in range(500)]
        unit.insert_many(others)
    return seller, mine


def test_a_search_is_not_filled_up_by_what_one_does_not_see(app: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    seller, mine = crowded(app)

    def found() -> tuple[list[Any], list[Any]]:
        with app.site.read(seller) as reader:
            listed = reader.page(Customer, search="common").items
            return [each[1] for each in reader.search("common")], [row.id for row in listed]

    assert found() == ([mine.id], [mine.id])

    def asked_afterwards(reader: Reader, query: str, names: Any, limit: int) -> Any:
        return search_ids(reader.session.connection(), query, entities=names, limit=4 * limit)

    monkeypatch.setattr(Reader, "_found", asked_afterwards)
    assert found()[0] == []
    tally("A3", "records found beside 500 that are hidden", tried=2, missing=0, control=1)
