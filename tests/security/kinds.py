"""One record of every kind that there is, made without knowing the kinds: what the harnesses of this folder work on."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import inspect, text

from rapport import Purpose, Site
from rapport.entities import Entity, Field
from rapport.errors import RapportError
from rapport.plugins import discover
from rapport.testing import TestApp, make_test_site
from rapport.testing.values import Examples

TOLD: dict[str, dict[str, Any]] = {
    "webhook": {"url": "https://example.com/in", "events": ["*"]},
    "inbound_hook": {"makes": "customer"},
    "custom_field": {"entity": "customer", "name": "x_size"},
    "retention_rule": {"kind": "interaction"},
}
"""What a kind asks for that its fields do not tell."""


@contextlib.contextmanager
def whole_site(home: Path, database_url: str = "", **values: Any) -> Iterator[TestApp]:
    """A site with every plugin that is installed."""
    with make_test_site(home, database_url, plugins=sorted(discover()), **values) as app:
        yield app


def one_of_each(app: TestApp, value: Callable[[Field, Any], Any] = lambda field, usual: usual) -> dict[str, UUID]:
    """A record of every kind that can be made by filling in its fields; `value` may put something else into a field.

    What is refused with that is made without it, so that a text of ours is wherever it is taken.
    """
    made: dict[str, UUID] = {}
    examples = _Told(value)
    with app.site.read(app.admin) as reader:
        examples._parents["purpose"] = made["purpose"] = reader.all(Purpose)[0].id
    for entity in app.site.entities:
        name = entity.meta.name
        if name in made or not entity.meta.writable:
            continue
        # Kinds that only their own code makes: a workflow's steps, the figures of a model.
        with contextlib.suppress(RapportError), app.site.write(app.admin) as unit:
            made[name] = examples.make(unit, entity).id
    return made


def state(site: Site, *, but: Collection[str] = ("token",)) -> dict[str, str]:
    """What every table holds, as a hash: the same before and after means that nothing changed."""
    found = {}
    with site.db.read() as connection:
        for table in sorted(set(inspect(connection).get_table_names()) - set(but)):
            rows = sorted(map(repr, connection.execute(text(f'SELECT * FROM "{table}"'))))
            found[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


class _Told(Examples):
    def __init__(self, value: Callable[[Field, Any], Any]) -> None:
        super().__init__()
        self.value = value

    def values(self, unit: Any, entity: type[Entity], *, whole: bool) -> dict[str, Any]:
        usual = {**super().values(unit, entity, whole=whole), **TOLD.get(entity.meta.name, {})}
        fields = entity.meta.fields
        return {name: self.value(fields[name], each) if whole else each for name, each in usual.items()}
