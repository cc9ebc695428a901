"""What everybody sees first, and what one sees of one's own, is read in order and never sorted."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import event

from rapport import Customer
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


def _sorted(app: TestApp, statements: list[tuple[str, Any]]) -> list[str]:
    with app.site.db.reading.connect() as connection:
        raw: Any = connection.connection.driver_connection
        plans = [raw.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall() for sql, values in statements]
    return [row[3] for plan in plans for row in plan if "TEMP B-TREE" in row[3]]
