"""Rehearsing an upgrade: everything that waits is applied to a copy of the database, which is then thrown away."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from rapport.config import Config
from rapport.db.engine import Database
from rapport.errors import RapportError
from rapport.lifecycle import Step, upgrade_site
from rapport_cli.archive import DATABASE, file_database, snapshot
from rapport_cli.portable import copy_database
from rapport_cli.scratch import scratch_folder

Progress = Callable[[int, int], None]


def rehearse(config: Config, told: Callable[[Step], None], progress: Progress) -> list[Step]:
    """Apply all pending migrations to a copy. The site is only read, and people may work meanwhile."""
    with (
        scratch_folder("rehearsal", config.home) as scratch,
        _copy(config, scratch, progress) as copy,
    ):
        return upgrade_site(copy, told)


@contextlib.contextmanager
def _copy(config: Config, scratch: Path, progress: Progress) -> Iterator[Config]:
    if config.is_sqlite:
        file = scratch / "rapport.db"
        snapshot(config, file, progress)
        yield replace(config, home=scratch, database_url=f"sqlite:///{file}")
        return
    name = f"rapport_rehearsal_{uuid.uuid4().hex[:12]}"
    copy = replace(config, database_url=make_url(config.database_url).set(database=name).render_as_string(False))
    try:
        whole = _make_database(config, name)
        if not whole:
            snapshot(config, scratch / DATABASE, progress)
            source, target = file_database(scratch / DATABASE), Database(copy)
            with contextlib.closing(source), contextlib.closing(target):
                copy_database(source, target, progress)
        yield copy
    finally:
        _say(config, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _make_database(config: Config, name: str) -> bool:
    """A copy in one go where nobody is connected; else an empty database, to be filled row by row."""
    template = make_url(config.database_url).database
    try:
        _say(config, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return True
    except DBAPIError:  # people are at work in it
        try:
            _say(config, f'CREATE DATABASE "{name}"')
        except DBAPIError as error:
            raise RapportError(
                f"A rehearsal needs a database of its own, and none can be made: {str(error.orig).strip()}. Give the "
                f"site's role the right (ALTER ROLE … CREATEDB), or rehearse on a restored backup: rapport restore"
            ) from error
        return False


def _say(config: Config, statement: str) -> None:
    engine = create_engine(config.database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()
