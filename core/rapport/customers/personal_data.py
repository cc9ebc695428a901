"""Everything that is held on a person, as one ZIP: a JSON file with every record, and the files that belong to them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, Any
from uuid import UUID

from sqlalchemy import or_, select

from rapport.access import Actor
from rapport.customers.model import Customer
from rapport.db.batches import batched
from rapport.entities import Entity, Field, column_of, entity_class, utcnow
from rapport.entities.base import read_extensions
from rapport.entities.types import instant_text
from rapport.errors import Forbidden
from rapport.files import find_files, path_of
from rapport.i18n.catalogs import _
from rapport.records.log import change_log
from rapport.records.reader import Reader, dumper
from rapport.records.session import SCOPED
from rapport.site import Site

Found = dict[str, dict[UUID, Any]]
"""Records by kind and id."""


def export_person(site: Site, actor: Actor, customer_id: UUID, target: IO[bytes]) -> int:
    """Write the ZIP. Returns how many records are in it.

    What refers to the person is found as merging and erasing find it, by the references of every kind of record, with
    what is part of that in turn: so it covers plugins and their extensions, custom fields and kinds of one's own. The
    log of what changed about each record is there too, and the duplicates that were merged into the person.
    """
    actor.require("customer.export")
    if actor.reach("customer.export") != "all":
        raise Forbidden("customer.export", _("Your role lets you do this only with your own records of this kind."))
    with site.read(actor) as reader, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        reader.get(Customer, customer_id)  # NotFound where there is none
        found = collect(reader, customer_id)
        data = {name: [_dumped(site, record) for record in records.values()] for name, records in found.items()}
        held = {"exported_at": instant_text(utcnow()), "customer": str(customer_id), "records": data,
                "history": _history(reader, found)}  # fmt: skip
        archive.writestr("data.json", json.dumps(held, ensure_ascii=False, indent=2))
        for name, stored in _files(reader, found):
            archive.write(stored, name)
    return sum(len(records) for records in found.values())


def collect(reader: Reader, customer_id: UUID) -> Found:
    """The person, the duplicates merged into them, all that refers to these, and what is part of that."""
    people = _read(reader, Customer, or_(Customer.id == customer_id, Customer.merged_into_id == customer_id))
    found: Found = {"customer": {person.id: person for person in people}}
    fresh: Found = {"customer": dict(found["customer"])}
    while fresh:
        following: Found = {}
        for entity in reader.site.entities:
            for record in _referring(reader, entity, fresh):
                known = found.setdefault(entity.meta.name, {})
                if record.id not in known:
                    known[record.id] = record
                    following.setdefault(entity.meta.name, {})[record.id] = record
        fresh = following
    return found


def _referring(reader: Reader, entity: type[Entity], fresh: Found) -> Iterator[Any]:
    """Records of one kind that belong to what was found in the last round: to the person however they are named, to
    everything else only as a part of it. Other customers are people of their own."""
    if entity is Customer:
        return
    for reference in reader.site.meta(entity).references:
        target = reference.target or ""
        if target in fresh and not reference.extension and (target == "customer" or not reference.nullable):
            yield from _naming(reader, entity, column_of(entity, reference), fresh[target])
    if {"about_entity", "about_id"} <= set(entity.meta.fields) and "customer" in fresh:
        columns: Any = entity
        yield from _naming(reader, entity, columns.about_id, fresh["customer"])


def _naming(reader: Reader, entity: type[Entity], column: Any, ids: Iterable[UUID]) -> Iterator[Any]:
    for some in batched(ids):
        yield from _read(reader, entity, column.in_(some))


def _read(reader: Reader, entity: type[Entity], condition: Any) -> list[Any]:
    statement = select(entity).where(condition).order_by(entity.id)
    records = list(reader.session.scalars(statement, execution_options=SCOPED))
    read_extensions(reader.session, records)
    return records


def _dumped(site: Site, record: Entity) -> dict[str, Any]:
    """A record as the API shows it, without what is empty."""
    dump = dumper(site.meta(type(record)))
    return {name: value for name, value in dump(record).items() if value not in (None, "", [], {})}


def _history(reader: Reader, found: Found) -> list[dict[str, Any]]:
    """What changed about these records, and when; by whom is about somebody else."""
    rows: list[dict[str, Any]] = []
    connection = reader.session.connection()
    for name, records in found.items():
        for some in batched(records):
            about = (change_log.c.entity == name, change_log.c.record_id.in_(some))
            logged = select(change_log).where(*about).order_by(change_log.c.seq)
            rows += [
                {"at": instant_text(row.at), "entity": name, "id": str(row.record_id), "action": row.action,
                 "changes": row.changes}
                for row in connection.execute(logged)
            ]  # fmt: skip
    return rows


def _files(reader: Reader, found: Found) -> Iterator[tuple[str, Any]]:
    """The files that these records hold, under names that no two of them share."""
    for name, records in found.items():
        fields: list[Field] = [f for f in entity_class(name).meta.fields.values() if f.kind == "file" and not f.secret]
        held = [getattr(record, field.name) for field in fields for record in records.values()]
        for stored in find_files(reader.session, held).values():
            path = path_of(reader.site.config, stored.id)
            if path.exists():
                yield f"files/{stored.id.hex[:8]}-{stored.name}", path
