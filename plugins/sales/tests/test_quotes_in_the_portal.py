"""A customer accepts a quote in the portal, and reaches nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from rapport_portal import Account
from rapport_portal.accounts import enter, new_link
from rapport_sales import Quote, QuoteLine

from rapport import Customer, system
from rapport.testing import TestApp

pytestmark = pytest.mark.plugins("sales", "portal")


def signed_in(app: TestApp, customer: Customer) -> Any:
    with app.site.write(system("test")) as unit:
        token = new_link(unit, unit.create(Account, {"customer_id": customer.id}))
    browser = app.flask.test_client()
    browser.set_cookie("rapport_portal", enter(app.site, token), path="/portal/")
    return browser


def test_a_customer_sees_and_accepts_their_own_quotes_only(app: TestApp) -> None:
    ada, ben = (app.create_customer(name=name) for name in ("Ada", "Ben"))
    with app.site.write(app.admin) as unit:
        sent, draft = (unit.create(Quote, {"customer_id": ada.id, "subject": name}) for name in ("Roof", "Secret"))
        unit.create(QuoteLine, {"quote_id": sent.id, "description": "Work", "price": "100"})
        app.site.actions["sales.quote:send"].run(unit, [sent], {})
    hers, his = signed_in(app, ada), signed_in(app, ben)
    assert "Roof" in hers.get("/portal/").get_data(as_text=True)
    listed = hers.get("/portal/sales/").get_data(as_text=True)
    assert "Roof" in listed
    assert "Secret" not in listed
    assert hers.get(f"/portal/sales/{draft.id}").status_code == 404
    page = f"/portal/sales/{sent.id}"
    for way in ("", "/pdf"):
        assert hers.get(page + way).status_code == 200
        assert his.get(page + way).status_code == 404
    assert his.post(page, data={"answer": "accept"}).status_code == 404
    assert hers.post(page, data={"answer": "accept"}).status_code == 200
    assert hers.post(page, data={"answer": "decline"}).status_code == 422
    with app.site.read(app.admin) as reader:
        assert (reader.get(Quote, sent.id).status, reader.get(Quote, sent.id).answered_by) == ("accepted", "Ada")
