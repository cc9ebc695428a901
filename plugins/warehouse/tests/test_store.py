"""The copy for counting: filled whole, brought up to date, and read by the same guard as the records themselves."""

from __future__ import annotations

import pytest
from rapport_warehouse import NotFilled, as_of, refresh, warehouse
from sqlalchemy import func, select

from rapport import Customer
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
