"""Links that somebody does not see: whatever they do with their own records, these stay as they were."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest

from rapport.builtin.web import forms
from rapport.entities import Entity, table_of
from tests.security.world import Principal, World
from tests.torture import LONG, tally

Link = tuple[str, str, str]
"""A table, a column, and the id of a row."""
NOT_LINKS = {"merged_into_id"}


class Form(HTMLParser):
    """The fields of the page's form, with the values that a browser would send when nothing is touched."""

    def __init__(self, page: str, action: str) -> None:
        super().__init__()
        self.action, self.inside, self.values = action, False, {}
        self.select = self.area = ""
        self.first = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if tag == "form":
            posts = (has.get("method") or "").lower() == "post"
            self.inside = posts and (has.get("action") or self.action).startswith(self.action)
        if not self.inside:
            return
        name, value, kind = has.get("name") or "", has.get("value") or "", has.get("type") or "text"
        if tag == "input" and name and kind not in {"submit", "button", "file", "reset"}:
            if kind not in {"checkbox", "radio"} or "checked" in has:
                self.values[name] = value
        elif tag == "select":
            self.select, self.first = name, True
        elif tag == "option" and self.select and (self.first or "selected" in has):
            self.values[self.select], self.first = value, False
        elif tag == "textarea":
            self.area = name
            self.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "select":
            self.select = ""
        elif tag == "textarea":
            self.area = ""

    def handle_data(self, data: str) -> None:
        if self.inside and self.area:
            self.values[self.area] += data


# What is linked ------------------------------------------------------------------------------------------------------


def links(world: World) -> dict[Link, str]:
    """Every link there is, as it lies in the database, by where it is."""
    assert world._live is not None
    found: dict[Link, str] = {}
    for entity in world.site.entities:
        table = table_of(entity).name
        own = [f for f in entity.meta.fields.values() if not (f.custom or f.extension) and f.name not in NOT_LINKS]
        names = [f.name for f in own if f.target or f.name == "about_id"]
        for name in names:
            rows = world._live.execute(f'SELECT id, "{name}" FROM "{table}" WHERE "{name}" IS NOT NULL')
            found |= {(table, name, row_id): value for row_id, value in rows}
    return found


def hidden_from(who: Principal, every: dict[Link, str]) -> dict[Link, str]:
    """Those of records that somebody does not see, and those of their own that lead there."""
    seen = {each.hex for each in who.reads}
    return {link: value for link, value in every.items() if link[2] not in seen or value not in seen}


@contextmanager
def leading_there(world: World) -> Iterator[int]:
    """Within the block, records of North lead to hidden ones of South, by every field that may."""
    assert world._live is not None
    former, made = world._kept, 0
    reads = world.principals["member A"].reads
    for name, record_id in world.north.items():
        entity = world.site.entities[name]
        parents = {f.name for f in entity.meta.parents}
        for f in entity.meta.references:
            target = world.south.get(str(f.target))
            if f.name in parents | {"owner_id", "team_id"} or f.custom or f.extension or target in {None, *reads}:
                continue
            try:
                world._live.execute(f'UPDATE "{table_of(entity).name}" SET "{f.name}" = ? WHERE id = ?',
                                    (target.hex, record_id.hex))  # fmt: skip
            except sqlite3.IntegrityError:  # a rule of the table's
                continue
            made += 1
    world.remember()
    try:
        yield made
    finally:
        world._kept = former
        world.put_back()


# What somebody does --------------------------------------------------------------------------------------------------


def by_form(world: World, who: Principal, entity: type[Entity], record_id: UUID) -> int:
    """Open the form, touch nothing, and save."""
    path = f"/{entity.meta.name}/{record_id}/edit"
    assert who.browser is not None
    page = who.browser.get(path)
    if page.status_code != 200:
        return page.status_code
    return int(who.browser.post(path, data=Form(page.get_data(as_text=True), path).values).status_code)


def by_whole_patch(world: World, who: Principal, entity: type[Entity], record_id: UUID) -> int:
    """Read it as a program does, and send all of it back."""
    assert who.api is not None
    answer = who.api.get(f"/api/v1/{entity.meta.name}/{record_id}")
    if answer.status_code != 200:
        return answer.status_code
    body = {f.name: answer.get_json()[f.name] for f in world.site.meta(entity).writable
            if f.name in answer.get_json() and f.kind != "file"}  # fmt: skip
    return _patched(who, entity, record_id, body, answer.headers["ETag"])


def by_one_field(world: World, who: Principal, entity: type[Entity], record_id: UUID) -> int:
    field = next((f for f in entity.meta.writable if f.kind in {"text", "longtext"} and not f.choices and not f.unique),
                 None)  # fmt: skip
    return 0 if field is None else _patched(who, entity, record_id, {field.name: "Something new"})


def by_reassigning(world: World, who: Principal, entity: type[Entity], record_id: UUID) -> int:
    viewer = world.principals["viewer"].actor
    assert viewer is not None
    return _patched(who, entity, record_id, {"owner_id": str(viewer.id)}) if entity.meta.owned else 0


def by_bulk_page(world: World, who: Principal, entity: type[Entity], record_id: UUID) -> int:
    assert who.browser is not None
    assert who.actor is not None
    form = {"ids": str(record_id), "do": "set", "field": "owner_id", "owner_id": str(who.actor.id)}
    return int(who.browser.post(f"/{entity.meta.name}/bulk", data=form).status_code) if entity.meta.owned else 0


def by_bulk_lines(world: World, who: Principal, entity: type[Entity], record_id: UUID) -> int:
    assert who.api is not None
    lines = [{"op": "archive", "id": str(record_id)}, {"op": "restore", "id": str(record_id)}]
    answer = who.api.post(f"/api/v1/{entity.meta.name}/bulk", data="\n".join(map(json.dumps, lines)),
                          content_type="application/x-ndjson")  # fmt: skip
    return int(answer.status_code)


def by_archiving(world: World, who: Principal, entity: type[Entity], record_id: UUID) -> int:
    assert who.browser is not None
    return int(who.browser.post(f"/{entity.meta.name}/{record_id}/archive").status_code)


def by_deleting(world: World, who: Principal, entity: type[Entity], record_id: UUID) -> int:
    assert who.api is not None
    version = who.api.get(f"/api/v1/{entity.meta.name}/{record_id}").headers.get("ETag", '"1"')
    path = f"/api/v1/{entity.meta.name}/{record_id}"
    return int(who.api.delete(path, headers={"If-Match": version}).status_code)


def _patched(who: Principal, entity: type[Entity], record_id: UUID, body: Any, version: str = "") -> int:
    assert who.api is not None
    path = f"/api/v1/{entity.meta.name}/{record_id}"
    headers = {"If-Match": version or who.api.get(path).headers.get("ETag", '"1"')}
    return int(who.api.patch(path, json=body, headers=headers).status_code)


Deed = Callable[[World, Principal, type[Entity], UUID], int]
DEEDS: dict[str, Deed] = {
    "saving an untouched form": by_form, "sending all of it back": by_whole_patch, "changing one field": by_one_field,
    "reassigning": by_reassigning, "a bulk edit": by_bulk_page, "lines in bulk": by_bulk_lines,
    "archiving": by_archiving, "deleting": by_deleting,
}  # fmt: skip


def lost_by(world: World, who: Principal, entity: type[Entity], deed: Deed) -> tuple[int, list[Link]]:
    """The answer to what was done with one's record, and the hidden links that are not as they were."""
    record_id, before = world.north[entity.meta.name], links(world)
    world.touched()
    status = deed(world, who, entity, record_id)
    if not world.touched():
        return status, []
    after = links(world)
    world.put_back()
    gone = _with_its_parts(world, entity, record_id, before) if deed is by_deleting else set()
    own = {(table_of(entity).name, "owner_id", record_id.hex), (table_of(entity).name, "team_id", record_id.hex)}
    return status, [
        link for link, value in hidden_from(who, before).items()
        if after.get(link) != value and link[2] not in gone and link not in own
    ]  # fmt: skip


def _with_its_parts(world: World, entity: type[Entity], record_id: UUID, every: dict[Link, str]) -> set[str]:
    """A record and what is a part of it, whosever it is and seen or not: that goes with it."""
    gone, kinds = {record_id.hex}, [entity.meta.name]
    for kind in kinds:  # which grows while it is walked
        for other in world.site.entities:
            for parent in other.meta.parents:
                if parent.target != kind:
                    continue
                table = table_of(other).name
                found = {link[2] for link, value in every.items()
                         if link[:2] == (table, parent.name) and value in gone}  # fmt: skip
                if found - gone:
                    gone |= found
                    kinds.append(other.meta.name)
    return gone


@pytest.mark.timeout(3600 if LONG else 500)
def test_whatever_one_does_with_ones_own_hidden_links_stay(world: World) -> None:
    who, wrong, done = world.principals["member A"], {}, dict.fromkeys(DEEDS, 0)
    with leading_there(world) as made:
        assert made > 30
        kinds = [each for each in world.site.entities if each.meta.name in world.north]
        for place, entity in enumerate(kinds):
            for number, (name, deed) in enumerate(DEEDS.items()):
                if not LONG and (place + number) % 3:
                    continue
                status, lost = lost_by(world, who, entity, deed)
                done[name] += 0 < status < 400
                if lost:
                    wrong[f"{name}: {entity.meta.name}"] = lost
    assert wrong == {}
    assert all(done.values()), done
    for name, count in done.items():
        tally("A5", f"hidden links through {name}", tried=count, lost=0)


def test_a_form_that_empties_what_it_cannot_show_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = forms.typed_values

    def emptied(record: Any, fields: Any) -> dict[str, Any]:
        values = typed(record, fields)
        hidden = [f for f in fields if f.target and values.get(f.name)]
        return values | {f.name: None for f in hidden if not forms.reference_texts([f], values).get(f.name)}

    with leading_there(world):
        _status, lost = lost_by(world, world.principals["member A"], world.site.entities["customer"], by_form)
        assert lost == []
        monkeypatch.setattr(forms, "typed_values", emptied)
        _status, lost = lost_by(world, world.principals["member A"], world.site.entities["customer"], by_form)
    assert ("customer", "organisation_id", world.north["customer"].hex) in lost
    tally("A5", "hidden links through saving an untouched form", tried=0, control=len(lost))
