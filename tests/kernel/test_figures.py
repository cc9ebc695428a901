"""Figures: what the core itself can be asked for exists, and each thing that tells it apart is found by one way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import BigInteger, Date, literal, select

from rapport import Dimension, Measure, days_between, hours_between, hours_of
from rapport.entities.types import Instant
from rapport.figures import field_at, way_to, wrong_with_dimension, wrong_with_measure
from rapport.testing import TestApp

MakeApp = Callable[..., AbstractContextManager[TestApp]]


def names(way: Any) -> list[str] | None:
    return None if way is None else [reference.name for reference in way]


def test_every_figure_of_the_core_names_what_exists(make_app: MakeApp) -> None:
    with make_app() as app:
        site = app.site
        assert [said for each in site.measures for said in wrong_with_measure(site, each)] == []
        assert [said for each in site.dimensions for said in wrong_with_dimension(site, each)] == []
        assert len(site.measures) >= 10


def test_the_shortest_way_is_taken_and_two_that_are_as_good_are_none(make_app: MakeApp) -> None:
    with make_app(plugins=["sales", "marketing"]) as app:
        site = app.site
        assert names(way_to(site, "customer", "customer")) == []
        # A contact person is a customer too, but the field that is called so goes before.
        assert names(way_to(site, "sales.opportunity", "customer")) == ["customer_id"]
        assert names(way_to(site, "sales.order_line", "customer")) == ["order_id", "customer_id"]
        assert names(way_to(site, "sales.order_line", "user", "owner_id")) == ["order_id", "owner_id"]
        # Whose is a response: its campaign's owner, or its customer's?
        assert way_to(site, "marketing.response", "user", "owner_id") is None
        assert way_to(site, "products.product", "customer") is None
        assert field_at(site, "sales.order_line", "order.ordered_on") is not None
        assert field_at(site, "sales.order_line", "order.nothing") is None
        assert field_at(site, "customer", "name_key") is None


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (Measure("core.m", "M", of="customr"),
         "core.m: there is no kind of record 'customr'. Did you mean 'customer'?"),
        (Measure("core.m", "M", of="customer", how="median", value="id"), "core.m: there is no how 'median'."),
        (Measure("core.m", "M", of="customer", how="sum"), "core.m: how='sum' needs a value."),
        (Measure("core.m", "M", of="customer", value="id"),
         "core.m: what is counted has no value. Say how='sum' or how='distinct'."),
        (Measure("core.m", "M", of="customer", how="sum", value="name"), "core.m: 'name' (text) is no number."),
        (Measure("core.m", "M", of="customer", how="distinct", value="name_key"),
         "core.m: there is no field 'name_key'. Did you mean 'name'?"),
        (Measure("core.m", "M", of="customer", kind="money"),
         "core.m: what is money names the field with its currency, and nothing else does."),
        (Measure("core.m", "M", over=("core.bounce_rate", "core.tasks")),
         "core.m: it divides by or into 'core.bounce_rate', which is a ratio itself."),
        (Measure("core.m", "M", of="customer", over=("core.tasks", "core.tasks_done")),
         "core.m: a ratio has no records, value, filter or currency of its own."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_measure_is_said(make_app: MakeApp, measure: Measure, said: str) -> None:
    with make_app() as app:
        assert said in wrong_with_measure(app.site, measure)


def test_what_cannot_tell_records_apart_is_no_dimension(make_app: MakeApp) -> None:
    with make_app() as app:
        wrong = Dimension("core.d", "D", of="customer", value="tags")
        assert wrong_with_dimension(app.site, wrong) == ["core.d: records cannot be told apart by 'tags' (tags)."]
        assert wrong_with_dimension(app.site, Dimension("core.d", "D", of="customer", value="address.planet")) != []


def test_every_database_counts_days_and_hours_alike(make_app: MakeApp) -> None:
    begin = dt.datetime(2026, 3, 28, 23, 30, 0, 600_000, dt.UTC)
    end = dt.datetime(2026, 3, 29, 1, 0, 0, 500_000, dt.UTC)  # a second less a tenth short of an hour and a half
    with make_app() as app, app.site.read(app.admin) as reader:
        days, between, hours = reader.session.execute(
            select(
                days_between(literal(dt.date(2026, 2, 27), Date), literal(dt.date(2026, 3, 1), Date)),
                hours_between(literal(begin, Instant), literal(end, Instant)),
                hours_of(literal(5400, BigInteger)),
            )
        ).one()
    assert (days, between, hours) == (2, Decimal("1.4997"), Decimal("1.5"))
