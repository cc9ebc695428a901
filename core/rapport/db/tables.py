"""The one collection of tables, and the table that says which plugins a site has switched on."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, MetaData, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

plugin_table = Table(
    "plugin",
    metadata,
    Column("name", Text, primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("version", Text, nullable=False, default=""),
    # Fingerprint of the tables of a plugin that ships no migrations: changed means pending.
    Column("fingerprint", Text, nullable=False, default=""),
    # Why Rapport itself took the plugin out; empty while nothing is wrong.
    Column("quarantine", Text, nullable=False, default=""),
)

site_table = Table(
    "site",
    metadata,
    Column("id", Integer, primary_key=True),
    # Counts up whenever plugins or settings change; every worker that sees a new number builds itself anew.
    Column("generation", Integer, nullable=False, default=0),
)
