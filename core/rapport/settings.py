"""Settings: what an administrator decides for the whole site, declared by core and plugins, kept in the database."""

from __future__ import annotations

import difflib
from typing import Any

from sqlalchemy import Column, Connection, Table, Text, delete, insert, select, update
from sqlalchemy.orm import Session

from rapport.contributions import Setting
from rapport.db.tables import metadata, site_table
from rapport.entities.fields import KINDS, Choice, Field
from rapport.entities.types import Json
from rapport.errors import Invalid, Problem
from rapport.registry import Registry

setting_table = Table(
    "setting",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Json, nullable=False),
)


class Settings:
    """The settings of a site: declared ones only, each with its kind checked."""

    def __init__(self, declared: Registry[Setting]) -> None:
        self.declared = declared
        self._values: dict[str, Any] = {}

    def load(self, connection: Connection) -> None:
        """Read the decided values; the rest keep their defaults."""
        self._values = {row.name: row.value["value"] for row in connection.execute(select(setting_table))}

    def get(self, name: str) -> Any:
        """The value that counts: decided, or the default. Invalid for a name nobody declared."""
        setting = self._declared(name)
        return self._values.get(name, setting.default)

    def set(self, connection: Connection, name: str, value: Any) -> None:
        """Decide a value, in the caller's transaction; every worker sees it as soon as that commits."""
        setting = self._declared(name)
        field = field_of_setting(setting)
        try:
            loaded = field.load(value)
        except ValueError as error:
            raise Invalid(Problem(name, str(error))) from None
        dumped = field.dump(loaded)
        connection.execute(delete(setting_table).where(setting_table.c.name == name))
        connection.execute(insert(setting_table).values(name=name, value={"value": dumped}))
        connection.execute(update(site_table).values(generation=site_table.c.generation + 1))
        self._values[name] = dumped

    def reset(self, connection: Connection, name: str) -> None:
        """Take a decision back: the default counts again."""
        self._declared(name)
        connection.execute(delete(setting_table).where(setting_table.c.name == name))
        connection.execute(update(site_table).values(generation=site_table.c.generation + 1))
        self._values.pop(name, None)

    def _declared(self, name: str) -> Setting:
        setting = self.declared.get(name)
        if setting is None:
            near = difflib.get_close_matches(name, self.declared.names(), 1)
            raise Invalid(
                Problem(None, f"There is no setting '{name}'." + (f" Did you mean '{near[0]}'?" if near else ""))
            )
        return setting


def setting_of(session: Session, name: str) -> Any:
    """The value of a setting, for hooks, which are given the session of a unit of work and nothing else of the site."""
    return session.info["settings"].get(name)


def field_of_setting(setting: Setting) -> Field:
    """A setting as a field, so that forms and checks are those of fields."""
    assert setting.kind in KINDS
    # What is written with capital letters, such as Europe/Paris, is a name already.
    choices = tuple(
        Choice(value, value if value != value.lower() else value.replace("_", " ").capitalize() or "–")
        for value in setting.choices
    )
    kind = "choice" if choices else setting.kind
    return Field(
        setting.name, setting.label, kind, choices=choices, default=setting.default, help=setting.help, nullable=False
    )
