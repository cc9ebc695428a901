"""What everybody sees first, and what one sees of one's own, is read in order and never sorted."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import event, select

from rapport import Customer, utcnow, uuid7
from rapport.builtin.web.admin import FEW_CHANGES
from rapport.records.log import change_log
from rapport.testing import TestApp


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_start_page_and_ones_own_customers_are_not_sorted(app: TestApp) -> None:
    sent: list[tuple[str, Any]] = []
    event.listen(
        app.site.db.reading, "before_cursor_execute", lambda _c, _u, sql, values, *_: sent.append((sql, values))
    )
    assert app.browser(app.admin).get("/").status_code == 200
    recent = [each for each in sent if "FROM interaction" in each[0] and "ORDER BY" in each[0]]
    sent.clear()
    clerk = dataclasses.replace(app.admin, is_admin=False, grants={"customer.read": "own"})
    with app.site.read(clerk) as reader:
        reader.page(Customer, filter='language = "fr"', sort="name", limit=50)
    own = [each for each in sent if "FROM customer" in each[0]]
    sent.clear()
    with app.site.read(app.admin) as reader:
        reader.page(Customer, sort="job_title", limit=50)
    control = [each for each in sent if "FROM customer" in each[0]]
    assert recent
    assert own
    assert _sorted(app, control), "the control: no index has this order, so this must be sorted"
    assert not _sorted(app, [*recent, *own])


def test_the_log_of_a_common_kind_of_record_is_gone_along_and_that_of_a_rare_one_is_found(app: TestApp) -> None:
    """At ten million changes, SQLite took nine seconds to read and sort those of one kind for a page of a hundred."""
    browser, sqlite = app.browser(app.admin), app.site.db.is_sqlite
    row = {"at": utcnow(), "actor": "An import", "via": "import", "action": "created", "version": 1, "changes": {}}
    many = [{**row, "entity": "customer", "record_id": uuid7()} for _ in range(FEW_CHANGES + 200)]
    with app.site.db.write() as connection:
        connection.execute(change_log.insert(), [{**row, "entity": "team", "record_id": uuid7()}, *many])
    if not sqlite:
        with app.site.db.write() as connection:
            connection.exec_driver_sql("ANALYZE change_log")
    sent: list[tuple[str, Any]] = []
    event.listen(
        app.site.db.reading, "before_cursor_execute", lambda _c, _u, sql, values, *_: sent.append((sql, values))
    )

    def asked(query: str) -> tuple[int, list[str]]:
        """How many changes the page shows, and the plan of the statement that found them."""
        sent.clear()
        page = browser.get(f"/admin/audit?{query}").get_data(as_text=True)
        found = [each for each in sent if "FROM change_log" in each[0] and "ORDER BY" in each[0]]
        return page.count("An import"), _plan(app, found)

    common, along = asked("entity=customer")
    older, along_older = asked("entity=customer&before=5000")
    rare, by_index = asked("entity=team&who=import")
    assert (common, older, rare) == (100, 100, 1)
    assert not [line for line in along + along_older if "TEMP B-TREE" in line or "Sort" in line], along
    assert any("ix_change_log_record" in line for line in by_index), by_index
    if sqlite:
        direct = select(change_log).where(change_log.c.entity == "customer").order_by(change_log.c.seq.desc()).limit(9)
        text = str(direct.compile(app.site.db.reading, compile_kwargs={"literal_binds": True}))
        assert "TEMP B-TREE" in "".join(_plan(app, [(text, ())])), "the control: asked for directly, it is sorted"


def _plan(app: TestApp, statements: list[tuple[str, Any]]) -> list[str]:
    how = "EXPLAIN QUERY PLAN " if app.site.db.is_sqlite else "EXPLAIN "
    with app.site.db.reading.connect() as connection:
        found = [connection.exec_driver_sql(how + sql, values).all() for sql, values in statements]
    return [str(row[-1]) for plan in found for row in plan]


def _sorted(app: TestApp, statements: list[tuple[str, Any]]) -> list[str]:
    return [line for line in _plan(app, statements) if "TEMP B-TREE" in line]
