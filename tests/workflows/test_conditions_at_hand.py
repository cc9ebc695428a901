"""Conditions of a plugin, asked of a record that is not saved yet, say what the database would say of it."""

from __future__ import annotations

from rapport import Conditions, Customer, wrong_with
from rapport.testing import TestApp


def test_conditions_are_asked_of_records_at_hand(app: TestApp) -> None:
    steel = app.create_customer(kind="organisation", name="Mobarakeh", industry="Steel")
    texts = ['name = "Ada"', 'organisation.industry = "Steel"', "colour = 3", "", "created_at > today - 1 days"]
    with app.site.write(app.admin) as unit:
        conditions = Conditions(app.site, unit.session, Customer, texts)
        ada, _problems = unit.build(Customer, {"name": "Ada", "organisation_id": steel.id})
        bob, _problems = unit.build(Customer, {"name": "Bob"})
        assert conditions.met_by(ada) == [True, True, False, True, True]
        assert conditions.met_by(bob) == [False, False, False, True, True]
    assert "colour" in wrong_with(app.site, "colour = 3", app.site.meta(Customer))
    assert wrong_with(app.site, texts[0], app.site.meta(Customer)) == ""
