"""Writing a migration: what a plugin's tables should be, compared with what its migrations make so far.

No site is needed: the comparison is with a scratch database in memory that the present migrations have filled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateTableOp, MigrationScript
from sqlalchemy import JSON, Connection, DDLElement, Table, create_engine, event, inspect
from sqlalchemy.pool import StaticPool

from rapport.db import migrate
from rapport.db.tables import metadata
from rapport.entities.custom import Custom
from rapport.entities.types import Fixed, Instant, Tags
from rapport.errors import NotFound, RapportError
from rapport.lifecycle import core_line
from rapport.plugins import discover, import_plugin
from rapport.query.fold import install_functions

JSONB = 'sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")'
STORED: dict[type, str] = {
    Fixed: "sa.BigInteger()",
    Instant: "sa.DateTime(timezone=True)",
    Tags: "sa.Text()",
    JSON: JSONB,
    Custom: JSONB,
}
"""Our types as what the database keeps: a migration must mean the same when our classes have changed."""

NOISE = re.compile(r"# ###.*|info=\{'owner': '\w+'\},?")

FILE = '''"""{message}"""

{imports}

revision = "{number}"
down_revision = {former}


def upgrade() -> None:
    {body}
'''


def write_revision(plugin: str, message: str) -> Path:
    """Write the next numbered migration of a plugin, or of `core`. RapportError when nothing has changed."""
    line = line_of(plugin)
    folder = line.folder or package_folder(line) / "migrations"
    numbers = sorted(path.name.split("_", 1)[0] for path in folder.glob("[0-9]*.py"))
    number = f"{int(numbers[-1]) + 1 if numbers else 1:04d}"
    with _scratch() as connection:
        body, imports = compare(connection, line)
    if body == "pass":
        raise RapportError(f"The tables of {plugin} are as its migrations make them: there is nothing to write.")
    slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")[:40] or "change"
    folder.mkdir(exist_ok=True)
    path = folder / f"{number}_{slug}.py"
    path.write_text(
        FILE.format(
            message=message.rstrip(".").replace("\\", "").replace('"', "'") + ".",
            imports="\n".join(sorted(imports, key=_import_order)),
            number=number,
            former=f'"{numbers[-1]}"' if numbers else None,
            body=body,
        ),
        "utf-8",
    )
    return path


def line_of(plugin: str) -> migrate.Line:
    """The line of migrations of an installed plugin, with its tables defined; NotFound for others."""
    if plugin == migrate.CORE:
        return core_line()
    installed = discover()
    if plugin not in installed:
        raise NotFound(f"There is no installed plugin '{plugin}'. Those there are: {', '.join(['core', *installed])}.")
    import_plugin(installed[plugin])
    return migrate.Line(plugin, installed[plugin].module.partition(":")[0])


def package_folder(line: migrate.Line) -> Path:
    """Where a plugin's package lies. A plugin in a single file has no place for migrations."""
    import importlib.util

    spec = importlib.util.find_spec(line.package)
    if spec is None or not spec.submodule_search_locations:
        raise RapportError(f"'{line.package}' is a single file. Make it a package, then write its migration.")
    return Path(next(iter(spec.submodule_search_locations)))


def compare(connection: Connection, line: migrate.Line) -> tuple[str, set[str]]:
    """What brings the tables from the last migration to the classes of today: the code, and the imports it needs."""
    ours = line.tables()
    others = [table for table in metadata.sorted_tables if table not in ours]
    metadata.create_all(connection, tables=others)
    foreign = set(inspect(connection).get_table_names())
    if line.folder is not None:
        migrate.upgrade(connection, line)

    def include(_object: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return kind != "table" or (name not in foreign and name != line.version_table)

    def render(kind: str, thing: Any, context: AutogenContext) -> str | Literal[False]:
        return STORED.get(type(thing), False) if kind == "type" else False

    options = {
        "target_metadata": metadata,
        "include_object": include,
        "compare_type": True,
        "render_as_batch": True,  # SQLite alters a table by making it anew
        "render_item": render,
        "version_table": line.version_table,
    }
    context = MigrationContext.configure(connection, opts=options)
    script: MigrationScript = produce_migrations(context, metadata)
    assert script.upgrade_ops is not None
    imports = {"import sqlalchemy as sa", "from alembic import op"}
    code = render_python_code(
        script.upgrade_ops, render_as_batch=True, render_item=render, imports=(), migration_context=context
    )
    lines = [_indented(text) for text in code.splitlines() if not NOISE.fullmatch(text.strip())]
    body = re.sub(r",\n(\s*\))", r"\n\1", "\n".join(lines)).strip()
    made = {step.table_name for step in script.upgrade_ops.ops if isinstance(step, CreateTableOp)}
    for table in ours:
        if table.name in made:
            body += "".join(_extras(connection, table))
    if "postgresql." in body:
        imports.add("from sqlalchemy.dialects import postgresql")
    return body, imports


def _indented(text: str) -> str:
    """Alembic's columns begin where their table does."""
    return f"    {text}" if text.startswith("    sa.") else text


def _extras(connection: Connection, table: Table) -> Iterator[str]:
    """What is made with a table beyond it: search indexes, triggers. They hang on the class's table, as DDL."""
    for ddl in table.dispatch.after_create:
        if not isinstance(ddl, DDLElement) or ddl._ddl_if is None:
            continue
        dialect = ddl._ddl_if.dialect
        statement = str(ddl.against(table).compile(dialect=connection.dialect))
        yield f"\n    if op.get_bind().dialect.name == {json.dumps(dialect)}:"
        yield f"\n        op.get_bind().exec_driver_sql({json.dumps(statement)})"


def _import_order(text: str) -> tuple[bool, str]:
    return text.startswith("from"), text


@contextmanager
def _scratch() -> Iterator[Connection]:
    engine = create_engine("sqlite://", poolclass=StaticPool)

    @event.listens_for(engine, "connect")
    def _functions(connection: Any, _record: Any) -> None:
        install_functions(connection)

    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
