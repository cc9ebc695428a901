"""Sample data of an edition: believable records to try it out with, taken away again without a trace."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select

from rapport.access import Actor
from rapport.builtin.edition.engine import opened
from rapport.builtin.edition.folder import SAMPLES, Edition, spell
from rapport.builtin.edition.items import Configuration, read_configuration
from rapport.builtin.edition.store import sample_table
from rapport.builtin.exchange.undoing import Undoing
from rapport.config import Config
from rapport.entities import Entity, Field, uuid7
from rapport.entities.types import utcnow
from rapport.errors import Conflict, Invalid, NotFound
from rapport.records import Unit

DAYS = re.compile(r"[+-]\d+d")
LABEL = "label"


def load_samples(config: Config, edition: Edition, *, actor: Actor) -> int:
    """Put in an edition's sample data, all of it or none. Returns how many records."""
    paths = sorted((edition.folder / SAMPLES).glob("*.toml"))
    if not paths:
        raise NotFound(f"{edition.name} has no sample data: there is no {SAMPLES}/*.toml beside its edition.toml.")
    batch = uuid7()
    with opened(config) as site, site.write(actor, batch=batch) as unit:
        connection = unit.session.connection()
        table = sample_table
        if connection.scalar(select(table.c.name).where(table.c.name == edition.name)) is not None:
            raise Conflict(
                f"The sample data of {edition.name} is there already. "
                f"Take it away: rapport edition sample {edition.name} --remove"
            )
        loader = Loader(unit, read_configuration(unit.session, site))
        for path in paths:
            for kind, tables in tomllib.loads(path.read_text("utf-8")).items():
                for number, values in enumerate(tables, 1):
                    loader.load(kind, values, f"{SAMPLES}/{path.name}, {kind} number {number}")
        connection.execute(insert(table).values(name=edition.name, at=utcnow(), batch_id=batch))
    return loader.count


def remove_samples(config: Config, name: str, *, actor: Actor) -> tuple[int, list[str]]:
    """Take sample data away. Returns how many changes were undone, and what stays because people worked with it."""
    with opened(config) as site, site.write(actor, batch=uuid7()) as unit:
        connection = unit.session.connection()
        batch = connection.scalar(select(sample_table.c.batch_id).where(sample_table.c.name == name))
        if batch is None:
            raise NotFound(f"There is no sample data of {name} on this site.")
        undoing = Undoing(site, batch)
        below, _count = undoing.size()
        undone, kept = 0, []
        while True:
            below, count = undoing.take_back(unit, below)
            if not count:
                break
            undone += count
            kept += [f"{each.value}: {each.message}" for each in undoing.kept]
        connection.execute(delete(sample_table).where(sample_table.c.name == name))
    return undone, kept


class Loader:
    """Makes records from tables. `label = "splash"` names one for others: `customer_id = "@splash"`."""

    def __init__(self, unit: Unit, configuration: Configuration) -> None:
        self.unit = unit
        self.configuration = configuration
        self.count = 0
        self._labels: dict[str, UUID] = {}
        self._now = utcnow()

    def load(self, kind: str, table: Mapping[str, Any], where: str) -> None:
        """Make one record. Invalid says in which file and what is wrong."""
        entity: type[Entity] | None = self.unit.site.entities.get(kind)
        if entity is None:
            raise Invalid(f"{where}: there is no kind of record '{kind}' here. Is its module among the edition's?")
        fields = self.unit.site.meta(entity).fields
        values = {
            name: self._value(fields[name], value, where) if name in fields else value
            for name, value in table.items()
            if name != LABEL
        }
        try:
            record = self.unit.create(entity, values)
        except (Invalid, Conflict) as error:
            raise Invalid(f"{where}: {error}") from error
        if LABEL in table:
            self._labels[table[LABEL]] = record.id
        self.count += 1

    def _value(self, field: Field, value: Any, where: str) -> Any:
        if field.kind in {"reference", "id"} and isinstance(value, str) and value.startswith("@"):
            if value[1:] not in self._labels:
                raise Invalid(f"{where}: {field.name} names {value}, and no record before it has this label.")
            return str(self._labels[value[1:]])
        if field.target is not None and isinstance(value, list):
            key = (field.target, *value)
            if key not in self.configuration.by_key:
                raise Invalid(f"{where}: {field.name} names {spell(key)}, which this site does not have.")
            return self.configuration.by_key[key].identity.partition(":")[2]
        if field.kind in {"date", "instant"} and isinstance(value, str) and DAYS.fullmatch(value):
            at = self._now + dt.timedelta(days=int(value[:-1]))
            return at.date() if field.kind == "date" else at
        return value
