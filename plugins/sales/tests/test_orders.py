"""Orders are checked before they are placed, and how often they went back is counted."""

from __future__ import annotations

import datetime as dt
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import importlib_metadata
import pytest
from rapport_products import Product
from rapport_sales import Order, OrderLine

from rapport import Invalid

WAREHOUSE = """
from rapport import hookimpl
from rapport_sales import Shortage

@hookimpl
def ask_sales_availability(wanted, session):
    return [Shortage(each.product_id, available=3) for each in wanted if each.quantity > 3]
"""


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A plugin, installed for this test, that knows what is in store."""
    name, root = f"store{uuid.uuid4().hex[:6]}", tmp_path / "installed"
    info = root / f"rapport_{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (root / f"rapport_{name}.py").write_text(WAREHOUSE, "utf-8")
    about = ["Metadata-Version: 2.1", f"Name: rapport-{name}", "Version: 0.1", "Requires-Dist: rapport-sales", ""]
    (info / "METADATA").write_text("\n".join(about), "utf-8")
    (info / "entry_points.txt").write_text(f"[rapport.plugins]\n{name} = rapport_{name}\n", "utf-8")
    monkeypatch.syspath_prepend(str(root))
    importlib_metadata.MetadataPathFinder.invalidate_caches()
    yield name
    sys.modules.pop(f"rapport_{name}", None)
    importlib_metadata.MetadataPathFinder.invalidate_caches()


def press(app: Any, record: Any, action: str) -> str:
    """Press a button of a record's page, as the administrator."""
    known = app.site.actions[f"{record.meta.name}:{action}"]
    with app.site.write(app.admin) as unit:
        return str(known.run(unit, [unit.get(type(record), record.id)], {}))


def make(app: Any, entity: Any, **values: Any) -> Any:
    with app.site.write(app.admin) as unit:
        return unit.create(entity, values)


def change(app: Any, record: Any, **values: Any) -> Any:
    with app.site.write(app.admin) as unit:
        return unit.update(unit.get(type(record), record.id), values)


def test_an_order_is_stopped_with_every_reason_and_the_loops_are_counted(make_app: Callable[..., Any], warehouse: str):
    with make_app(plugins=["sales", warehouse]) as app:
        ada = app.create_customer(name="Ada")
        panel = make(app, Product, name="Panel", price="100", cost="60")
        old = make(app, Product, name="Old pump", price="10", active=False)
        order = make(app, Order, customer_id=ada.id)
        empty = press(app, order, "place")
        assert "no lines yet" in empty
        assert "Deliver to is missing." in empty
        many = make(app, OrderLine, order_id=order.id, product_id=panel.id, quantity=5)
        gone = make(app, OrderLine, order_id=order.id, product_id=old.id)
        change(app, order, address={"city": "Haifa"})
        told = press(app, order, "place")
        assert "Old pump is not on sale any more." in told
        assert "Of Panel only 3 can be had." in told
        with app.site.write(app.admin) as unit:
            unit.delete(unit.get(OrderLine, gone.id))
        change(app, many, quantity=2)
        page = app.browser(app.admin).get(f"/sales.order/{order.id}").get_data(as_text=True)
        assert "Of Panel only 3 can be had." in page
        assert "The order is placed." in press(app, order, "place")
        other = make(app, Order, customer_id=ada.id, address={"city": "Haifa"}, number="A-77")
        make(app, OrderLine, order_id=other.id, product_id=panel.id, price="90")
        press(app, other, "place")
        press(app, other, "fulfil")
        dropped = make(app, Order, customer_id=ada.id)
        press(app, dropped, "cancel")
        with app.site.read(app.admin) as reader:
            found = {each.number: each for each in reader.all(Order)}
        placed = next(each for number, each in found.items() if number.endswith("-0001"))
        assert (placed.status, placed.loops, placed.total, placed.cost) == ("placed", 2, 200, 120)
        assert placed.ordered_on == dt.datetime.now(dt.UTC).date()
        assert found["A-77"].status == "fulfilled"

        with app.site.read(app.admin) as reader:
            reports = {each.name: each for each in app.site.reports}
            days = {"since": None, "until": None}
            everybody = reports["sales.first_time_right"].rows(reader, **days)[-1]
            assert (everybody.placed, everybody.first_time, everybody.loops) == (2, 1, 2)
            assert (everybody.share, everybody.per_order) == (50, 1)
            (sold,) = reports["sales.margin"].rows(reader, by="product", **days)
            assert (sold.what, sold.orders, sold.total, sold.profit) == ("Panel", 2, 290, 110)
        browser = app.browser(app.admin)
        for report in ("first_time_right", "margin", "margin?by=person", "margin?by=campaign"):
            assert browser.get(f"/reports/sales.{report}").status_code == 200


def test_nobody_who_knows_is_no_refusal_and_old_orders_come_in_as_placed(sales: Any):
    app = sales.app
    ada = app.create_customer(name="Ada", address={"city": "Haifa"})
    panel = make(app, Product, name="Panel", price="100")
    order = make(app, Order, customer_id=ada.id)
    make(app, OrderLine, order_id=order.id, product_id=panel.id, quantity=500)
    assert "The order is placed." in press(app, order, "place")
    with pytest.raises(Invalid, match="is “Placed”, so that cannot be done"):
        press(app, order, "place")
    with pytest.raises(Exception, match="is not a draft any more"):
        make(app, OrderLine, order_id=order.id, description="More", price="1")
    changed = app.client.patch(f"/api/v1/sales.order/{order.id}", json={"status": "draft"})
    assert changed.status_code in {400, 422, 428}
