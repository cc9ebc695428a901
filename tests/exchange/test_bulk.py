"""What comes in by the thousand leaves what a single write leaves: row, log, search, and word to the plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, text

from rapport import Conflict, Customer, Forbidden, Invalid
from rapport.entities import Entity, table_of
from rapport.entities.schema import load_values
from rapport.fit import CustomField
from rapport.plugins import discover
from rapport.query.search import search_document
from rapport.records.bulk import Bulk
from rapport.records.log import change_log, delivery_table
from rapport.records.unit import Unit
from rapport.testing.app import TestApp
from rapport.testing.values import Examples, without
from tests.torture import tally

Way = Callable[[Unit, type[Entity], dict[str, Any]], Any]
FIELDS = [
    {"name": "x_pool", "label": "Pool", "kind": "text", "searchable": True},
    {"name": "x_visits", "label": "Visits", "kind": "integer", "default_value": "3"},
    {"name": "x_built", "label": "Built", "kind": "date"},
]


@pytest.fixture
def everything(make_app: Any, clock: Any) -> Iterator[TestApp]:
    with make_app(plugins=sorted(discover())) as app:
        for each in FIELDS:
            with app.site.write(app.admin) as unit:
                unit.create(CustomField, {"entity": "customer", **each})
    with make_app(plugins=sorted(discover())) as app:
        yield app


def singly(unit: Unit, entity: type[Entity], values: dict[str, Any]) -> Any:
    return unit.create(entity, values)


def together(unit: Unit, entity: type[Entity], values: dict[str, Any]) -> Any:
    bulk = Bulk(unit, entity)
    record, problems = bulk.build(load_values(unit.site.meta(entity), values))
    if problems:
        raise Invalid(problems)
    bulk.settle()
    bulk.insert([record])
    bulk.log([record])
    return record


def left_by(app: TestApp, way: Way, entity: type[Entity], values: dict[str, Any]) -> dict[str, Any] | None:
    """What making a record leaves in the database, which is then rolled back; None where it is refused."""
    unit = app.site.write(app.admin)
    connection = unit.session.connection()
    log, sent, found = change_log.c, delivery_table.c, search_document.c
    before = connection.scalar(select(log.seq).order_by(log.seq.desc()).limit(1)) or 0
    told = connection.scalar(select(sent.id).order_by(sent.id.desc()).limit(1)) or 0
    try:
        record = way(unit, entity, values)
        unit.flush()
        unit._write_log()
    except (Invalid, Conflict, Forbidden):
        unit.session.close()
        return None
    words = "(SELECT words FROM search_index WHERE rowid = search_document.id)" if app.site.db.is_sqlite else "words"
    mine, table = (log.entity == entity.meta.name) & (log.record_id == record.id), table_of(entity)
    about = (log.action, log.version, log.changes, log.via, log.actor, log.actor_id, log.depth, log.at)
    seqs = dict(connection.execute(select(log.seq, log.entity).where(log.seq > before)).all())
    fresh = select(sent.plugin, sent.hook, sent.depth, sent.seq).where(sent.id > told)
    left = {
        "row": connection.execute(select(*[c for c in table.c if c.name != "id"]).where(table.c.id == record.id)).all(),
        "log": connection.execute(select(*about).where(log.seq > before, mine)).all(),
        "changed": sorted(seqs.values()),
        "told": sorted((plugin, hook, depth, seqs[seq]) for plugin, hook, depth, seq in connection.execute(fresh)),
        "search": connection.execute(
            select(found.title, text(words)).where(found.entity == entity.meta.name, found.record_id == record.id)
        ).all(),
    }
    unit.session.close()
    return {name: str(value).replace(str(record.id), "its id").replace(record.id.hex[-12:], "its id")
            for name, value in left.items()}  # fmt: skip


def _where(one: dict[str, Any], again: dict[str, Any], many: dict[str, Any]) -> str:
    """What differs, but for what two single writes differ in: numbers by lot."""
    names = [name for name in {**one, **many} if one.get(name) == again.get(name) != many.get(name)]
    return "\n".join(f"  {name}:\n    {one.get(name)}\n    {many.get(name)}" for name in names)


def accepted(app: TestApp, entity: type[Entity], values: dict[str, Any]) -> dict[str, Any]:
    """The values that a record of this kind may have; the rules of its own refuse some."""
    while True:
        unit = app.site.write(app.admin)
        try:
            unit.create(entity, values)
            return values
        except Invalid as refused:
            values = without(entity, values, refused)
        finally:
            unit.session.close()


def compared(app: TestApp, kinds: Iterable[type[Entity]]) -> tuple[int, list[str]]:
    """How many records could be made, and of which the two ways leave something else."""
    examples, tried, unlike = Examples(), 0, []
    for entity in kinds:
        for whole in (True, False):
            try:
                with app.site.write(app.admin) as unit:
                    values = examples.values(unit, entity, whole=whole)
                values = accepted(app, entity, values)
            except (Invalid, Conflict, Forbidden):
                continue
            one, many = left_by(app, singly, entity, values), left_by(app, together, entity, values)
            tried += 1
            if one != many and (where := _where(one or {}, left_by(app, singly, entity, values) or {}, many or {})):
                unlike.append(f"{entity.meta.name}\n{where}")
    return tried, unlike


def test_every_kind_of_record_comes_in_as_by_a_single_write(everything: TestApp):
    tried, unlike = compared(everything, [entity for entity in everything.site.entities if entity.meta.writable])
    assert not unlike, "\n".join(unlike)
    assert tried > 120
    tally("D4", "kinds that come in by the thousand as one by one", tried=tried, different=0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_word_to_plugins_that_is_forgotten_is_found(everything: TestApp, monkeypatch: pytest.MonkeyPatch):
    """The control: nobody is told of a new record."""
    monkeypatch.setattr(Bulk, "_tell", lambda *_args: None)
    _tried, unlike = compared(everything, [Customer])
    assert len(unlike) == 1
    assert "told" in unlike[0]
    tally("D4", "kinds that come in by the thousand as one by one", control=len(unlike))
