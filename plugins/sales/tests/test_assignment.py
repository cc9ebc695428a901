"""Leads go where the rules send them, and say why; a lead of a known customer stays theirs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rapport_sales import AssignmentRule, Lead, Opportunity, ScoreRule, Territory, convert_lead

from rapport import Customer, User
from rapport.builtin.exchange import imports


def names(sales: Any, leads: Any) -> list[str]:
    with sales.app.site.read(sales.app.admin) as reader:
        people = reader.titles(User, [lead.owner_id for lead in leads])
    return [people[lead.owner_id] for lead in leads]


def test_rules_in_order_send_leads_to_a_person_a_territory_a_turn_and_the_least_busy(sales: Any):
    inside, field = sales.app.team("Inside sales"), sales.app.team("Field")
    noa, wei = (sales.app.user(name, teams=[inside]) for name in ("Noa", "Wei"))
    leila = sales.app.user("Leila", teams=[field])
    gone = sales.app.user("Gone", teams=[field])
    sales.make(ScoreRule, name="Recommended", condition='source = "Recommendation"', points=80)
    paris = sales.make(
        Territory, name="Paris", condition='address.country = "FR" and address.postcode starts "75"', user_id=leila.id
    )
    sales.make(Territory, name="France", condition='address.country = "FR"', team_id=field.id, position=5)
    sales.make(AssignmentRule, name="The best to Noa", condition="score >= 50", method="person", user_id=noa.id)
    sales.make(AssignmentRule, name="By place", method="territory", position=1)
    load = sales.make(
        AssignmentRule, name="Fair shares", method="load", team_id=inside.id, capacity=4, position=2,
        condition='language in ("en", "")',
    )  # fmt: skip
    sales.make(AssignmentRule, name="The rest", method="turn", team_id=inside.id, position=3)
    best = sales.make(Lead, name="Ada", source="Recommendation")
    assert (names(sales, [best]), best.assignment) == (["Noa"], "Rule “The best to Noa”")
    here = sales.make(Lead, name="Jean", address={"country": "FR", "postcode": "75011"})
    assert (names(sales, [here]), here.assignment) == (["Leila"], "Rule “By place”: territory Paris")
    assert here.territory_id == paris.id
    with sales.app.site.write(sales.app.admin) as unit:
        unit.update(unit.get(User, gone.id), {"active": False})
    there = sales.make(Lead, name="Anne", address={"country": "FR", "postcode": "13001"})
    assert (names(sales, [there]), there.team_id) == (["Leila"], field.id)
    sales.deal(owner_id=wei.id)
    sales.deal(owner_id=wei.id)
    shares = [sales.make(Lead, name=f"Lead {number}", language="en") for number in range(5)]
    assert Counter(names(sales, shares)) == {"Noa": 3, "Wei": 2}, "Noa has one lead already, Wei two deals"
    assert shares[0].assignment == "Rule “Fair shares”: least to do, with 1 open"
    assert "their turn" in sales.make(Lead, name="One too many", language="en").assignment
    french = sales.make(Lead, name="Céline", language="fr")
    assert french.assignment == "Rule “The rest”: it was their turn"

    sales.change(french, owner_id=gone.id)
    with sales.app.site.read(sales.app.admin) as reader:
        assert reader.get(Lead, french.id).assignment == ""
    sales.change(load, capacity=50)
    browser = sales.app.browser()
    sales.change(french, language="en")
    assert sales.app.submit(browser, f"/sales.lead/{french.id}/do/assign_anew", {}).status_code < 400
    with sales.app.site.read(sales.app.admin) as reader:
        anew = reader.get(Lead, french.id)
    assert anew.assignment.startswith("Rule “Fair shares”")
    page = browser.get(f"/sales.lead/{french.id}").get_data(as_text=True)
    assert "Fair shares" in page
    assert "could not show this" not in page


def test_imported_leads_are_spread_by_load_too(sales: Any):
    team = sales.app.team("Inside sales")
    people = [sales.app.user(name, teams=[team]) for name in ("Noa", "Wei", "Sam")]
    sales.deal(owner_id=people[0].id)
    sales.make(AssignmentRule, name="Fair shares", method="load", team_id=team.id)
    file = b"Name,Source\n" + b"".join(b"Lead %d,List\n" % number for number in range(29))
    run = imports.start(sales.app.site, sales.app.admin, "sales.lead", file, "leads.csv")
    assert imports.run(sales.app.site, sales.app.admin, run.id).created == 29
    with sales.app.site.read(sales.app.admin) as reader:
        owners = Counter(lead.owner_id for lead in reader.all(Lead))
    assert [owners[person.id] for person in people] == [9, 10, 10]


def test_a_lead_of_a_known_customer_becomes_their_opportunity_with_campaign_and_source(sales: Any):
    acme = sales.app.create_customer(kind="organisation", name="Acme")
    lead = sales.make(Lead, customer_id=acme.id, campaign="SKIM-27", source="Fair", interest="Skimmer")
    assert lead.name == "Acme"
    with sales.app.site.write(sales.app.admin) as unit:
        made = convert_lead(unit, unit.get(Lead, lead.id))
    assert (made.customer.id, made.person) == (acme.id, None)
    with sales.app.site.read(sales.app.admin) as reader:
        (deal,), everybody = reader.all(Opportunity), reader.all(Customer)
    assert (deal.customer_id, deal.campaign, deal.source, deal.name) == (acme.id, "SKIM-27", "Fair", "Skimmer")
    assert len(everybody) == 1
    elsewhere = sales.make(Lead, name="Mehri", address={"country": "IR", "city": "تبریز"}, industry="Steel")
    with sales.app.site.write(sales.app.admin) as unit:
        assert convert_lead(unit, unit.get(Lead, elsewhere.id)).customer.address["city"] == "تبریز"
