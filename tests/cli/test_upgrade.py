"""Changing tables that hold rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import text

from rapport import ContactPoint, Customer, RapportError
from rapport.access import system

from .conftest import opened


def test_making_a_table_anew_keeps_what_refers_to_it(home: Path) -> None:
    with opened(home) as site:
        with site.write(system("test")) as unit:
            ada = unit.create(Customer, {"name": "Ada"})
            unit.create(ContactPoint, {"customer_id": ada.id, "kind": "email", "value": "ada@example.com"})
        with site.db.reshape() as connection:
            operations = Operations(MigrationContext.configure(connection))
            with operations.batch_alter_table("customer") as customer:  # on SQLite: a new table
                customer.alter_column("reference", nullable=True)
        with site.db.read() as connection:
            assert connection.scalar(text("SELECT count(*) FROM contact_point")) == 1


def test_a_change_that_leaves_a_row_referring_to_nothing_is_taken_back(sqlite_home: Path) -> None:
    with opened(sqlite_home) as site:
        with site.write(system("test")) as unit:
            ada = unit.create(Customer, {"name": "Ada"})
            unit.create(ContactPoint, {"customer_id": ada.id, "kind": "email", "value": "ada@example.com"})
        with pytest.raises(RapportError, match="A row of 'contact_point' would refer to nothing"):  # noqa: SIM117
            with site.db.reshape() as connection:
                connection.execute(text("DELETE FROM customer"))
        with site.write(system("test")) as unit:
            assert len(unit.reader.all(Customer)) == 1
        with site.db.write() as connection:
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
