"""The copy for counting: filled whole, brought up to date, and read by the same guard as the records themselves."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import time
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet
import pytest
from click.testing import CliRunner
from rapport_warehouse import (
    NotFilled,
    as_of,
    commands,
    customer_history,
    exporting,
    generations,
    reading,
    refresh,
    warehouse,
)
from rapport_warehouse.generations import folder_of
from sqlalchemy import func, select, update

from rapport import Customer, RapportError, enqueue_job
from rapport.customers.erasing import erase
from rapport.fit.model import CustomField
from rapport.query.filter import parse
from rapport.query.sql import compile_filter
from rapport.records.log import change_log
from rapport.records.session import ScopedSession

pytestmark = pytest.mark.plugins("warehouse", "sales")


def names_in(app, actor):
    with warehouse(app.site) as connection, ScopedSession(connection, actor, app.site.entities) as session:
        return sorted(session.scalars(select(Customer.name)))


def test_before_it_is_filled_it_says_so(app):
    assert as_of(app.site) is None
    with pytest.raises(NotFilled, match="not filled yet"), warehouse(app.site):
        pass


def test_everybody_sees_in_it_what_they_see_of_the_records(app, actors):
    app.create_customer(name="Ada", owner_id=actors.member.id)
    app.create_customer(name="Bob", owner_id=actors.stranger.id)
    refresh(app.site, full=True)
    for actor in (actors.admin, actors.member, actors.stranger):
        with app.site.read(actor) as reader:
            assert names_in(app, actor) == sorted(reader.session.scalars(select(Customer.name)))


def test_a_refresh_takes_up_what_changed_since(app):
    ada = app.create_customer(name="Ada")
    assert refresh(app.site).full
    app.create_customer(name="Bob")
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"name": "Ada Lovelace"})
    again = refresh(app.site)
    assert (again.full, names_in(app, app.admin)) == (False, ["Ada Lovelace", "Bob"])
    assert refresh(app.site).rows == 0


def test_nobody_can_write_into_it(app):
    refresh(app.site)
    with warehouse(app.site) as connection, pytest.raises(Exception, match="read-only"):
        connection.execute(Customer.__table__.delete())
    with warehouse(app.site) as connection:
        assert connection.scalar(select(func.count()).select_from(Customer)) == 0


def test_what_is_exported_is_what_an_administrator_sees_without_secrets(app, tmp_path):
    app.create_customer(name="Ada")
    refresh(app.site)
    written = dict(exporting.export(app.site, tmp_path / "out"))
    customers = pyarrow.parquet.read_table(tmp_path / "out" / "customer.parquet").to_pylist()
    assert [row["name"] for row in customers] == ["Ada"]
    assert "name_key" not in customers[0]
    users = pyarrow.parquet.read_table(tmp_path / "out" / "user.parquet")
    assert {"password_hash", "totp_secret", "stamp"}.isdisjoint(users.column_names)
    assert written[tmp_path / "out" / "customer.parquet"] == 1


def test_a_customers_history_tells_whose_they_were_and_where(app, actors, clock):
    ada = app.create_customer(name="Ada", owner_id=actors.member.id, address={"city": "Lyon", "country": "FR"})
    born = clock.now
    refresh(app.site)
    clock.forward(days=1)
    with app.site.write(app.admin) as unit:
        moved_to = {"owner_id": actors.stranger.id, "address": {"city": "Rome", "country": "IT"}}
        unit.update(unit.get(Customer, ada.id), moved_to)
    clock.forward(days=1)
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"name": "Ada L."})
    refresh(app.site)
    moved = born + dt.timedelta(days=1)
    assert histories(app.site, app.admin) == [
        (born, moved, actors.member.id, "FR", "Lyon"), (moved, None, actors.stranger.id, "IT", "Rome"),
    ]  # fmt: skip
    refresh(app.site, full=True)
    assert len(histories(app.site, app.admin)) == 2
    own = dataclasses.replace(actors.member, grants={"customer.read": "own"})
    assert histories(app.site, own) == []
    erase(app.site, app.admin, ada.id)
    refresh(app.site)
    assert [line[3:] for line in histories(app.site, app.admin)] == [("", "")]


def histories(site, actor):
    past = customer_history()
    columns = select(past.c.valid_from, past.c.valid_to, past.c.owner_id, past.c.country, past.c.city)
    with warehouse(site) as connection, ScopedSession(connection, actor, site.entities) as session:
        return [tuple(row) for row in session.execute(columns.order_by(past.c.valid_from))]


def test_custom_fields_filter_in_it_as_in_the_records_and_a_new_one_fills_it_anew(make_app):
    with make_app(plugins=["warehouse"]) as app:
        refresh(app.site)
        with app.site.write(app.admin) as unit:
            unit.create(CustomField, {"entity": "customer", "name": "x_size", "label": "Size", "kind": "decimal"})
    with make_app(plugins=["warehouse"]) as app:
        for name, size in (("Ada", "12.5"), ("Éloïse", "7"), ("Bob", None)):
            app.create_customer(name=name, x_size=size)
        refresh(app.site)
        for text in ("x_size > 10", "x_size is empty", 'name contains "ELOI"', "x_size = 7", "x_size in (7, 12.5)"):
            with app.site.read(app.admin) as reader, warehouse(app.site) as connection:
                condition = compile_filter(parse(text), Customer, reader.context)
                statement = select(Customer.name).where(condition).order_by(Customer.name)
                found = connection.scalars(statement).all()
                assert found == reader.session.scalars(statement).all(), text
                assert found, text


def test_another_module_fills_it_anew(make_app):
    with make_app(plugins=["warehouse"]) as app:
        refresh(app.site)
    with make_app(plugins=["warehouse", "loyalty"]) as app:
        app.create_customer(name="Ada")
        assert refresh(app.site).full
        assert not refresh(app.site).full
        with warehouse(app.site) as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM loyalty_card").scalar() == 1


def test_a_database_that_was_brought_back_fills_it_anew(app):
    app.create_customer(name="Ada")
    refresh(app.site)
    with app.site.db.write() as connection:
        connection.execute(update(change_log).values(record_id=uuid4()))
    assert refresh(app.site).full


def test_whoever_reads_goes_on_with_what_they_opened(app):
    app.create_customer(name="Ada")
    refresh(app.site)
    with warehouse(app.site) as connection:
        before = connection.scalar(select(func.count()).select_from(Customer))
        app.create_customer(name="Bob")
        refresh(app.site)
        assert connection.scalar(select(func.count()).select_from(Customer)) == before == 1
        assert names_in(app, app.admin) == ["Ada", "Bob"]
    files = [path.name for path in folder_of(app.site).glob("warehouse-*")]
    assert files == ["warehouse-2.duckdb"]
    assert (folder_of(app.site) / "CACHEDIR.TAG").is_file()  # backups leave it out, and it goes with the plugin


def held(app):
    """The files of the warehouse that this process has open."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed while we look
            found.append(os.readlink(each))
    return [path for path in found if path.startswith(f"{folder_of(app.site)}/warehouse-")]


def test_what_nobody_asks_any_more_is_let_go_but_not_while_somebody_reads(app, monkeypatch):
    monkeypatch.setattr(generations, "_timer", None)
    app.create_customer(name="Ada")
    refresh(app.site)
    assert names_in(app, app.admin) == ["Ada"]
    assert held(app), "a minute is not over"
    monkeypatch.setattr(generations, "QUIET", 0.01)
    monkeypatch.setattr(generations, "_timer", None)
    with warehouse(app.site) as connection:
        assert names_in(app, app.admin) == ["Ada"]
        generations._close_quiet()
        assert connection.scalar(select(func.count()).select_from(Customer)) == 1
    until = time.monotonic() + 60
    while held(app):
        assert time.monotonic() < until, "it is kept for good"
        time.sleep(0.01)
    assert names_in(app, app.admin) == ["Ada"]


def test_what_is_cut_short_counts_for_nothing(app):
    app.create_customer(name="Ada")
    refresh(app.site)
    app.create_customer(name="Bob")

    class Cut(Exception):
        pass

    def tell(what):
        raise Cut

    with pytest.raises(Cut):
        refresh(app.site, tell=tell)
    assert names_in(app, app.admin) == ["Ada"]
    assert not refresh(app.site).full
    assert names_in(app, app.admin) == ["Ada", "Bob"]
    assert [path.name for path in folder_of(app.site).glob("warehouse-*")] == ["warehouse-2.duckdb"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_reads_large_tables_says_why_it_cannot_and_may_be_killed(app):
    for name in ("Ada", "Bob", "Cy"):
        app.create_customer(name=name)
    pump = reading.Pump(reading.Source(app.site)._address)
    with pytest.raises(RapportError, match=r"A table could not be read: .*no such table"):
        next(pump.stretches('SELECT 1 AS _place FROM "nowhere"', "rowid", 0, 10))
    read = pump.stretches('SELECT name, rowid AS _place FROM "customer"', "rowid", 0, 2)
    assert [table.num_rows for table in read] == [2, 1]
    pump._process.kill()
    pump._process.wait()
    with pytest.raises(RapportError, match=r"The process that reads large tables ended \(-9\). Refresh again."):
        next(pump.stretches('SELECT name, rowid AS _place FROM "customer"', "rowid", 0, 2))
    pump.close()


def test_the_job_and_the_command_line_bring_it_up_to_date(app):
    app.create_customer(name="Ada")
    with app.site.db.write() as connection:
        enqueue_job(connection, "warehouse.refresh", {}, actor=app.admin)
    app.settle()
    assert names_in(app, app.admin) == ["Ada"]
    app.create_customer(name="Bob")
    done = CliRunner().invoke(commands.refresh_now, [], obj=app.site)
    assert (done.exit_code, names_in(app, app.admin)) == (0, ["Ada", "Bob"])
    assert "customer " in CliRunner().invoke(commands.show_status, [], obj=app.site).output
