"""The one collection of tables, and the table that says which plugins a site has switched on."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Connection, Integer, MetaData, Table, Text

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
    # What to install when the code is gone.
    Column("distribution", Text),
)

plugin_data_table = Table(
    "plugin_data",
    metadata,
    # Which tables a plugin has made, so that they can be named, exported and purged when its code is gone.
    Column("plugin", Text, primary_key=True),
    Column("table_name", Text, primary_key=True),
)

site_table = Table(
    "site",
    metadata,
    Column("id", Integer, primary_key=True),
    # Counts up whenever plugins or settings change; every worker that sees a new number builds itself anew.
    Column("generation", Integer, nullable=False, default=0),
)


def index_names(connection: Connection, table: str) -> set[str]:
    """The indexes of a table, by the database's own list: SQLAlchemy's inspector passes over those on expressions."""
    if connection.dialect.name == "sqlite":
        statement = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?"
    else:
        statement = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = %s"
    return {name for (name,) in connection.exec_driver_sql(statement, (table,))}
