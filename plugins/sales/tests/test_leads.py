"""Leads are handed out fairly and become customers that are not there already."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from rapport_sales import Lead, Opportunity, convert_lead

from rapport import ContactPoint, Customer, Invalid
from rapport.builtin.exchange import imports


def convert(sales: Any, lead: Lead, **values):
    with sales.app.site.write(sales.app.admin) as unit:
        return convert_lead(unit, unit.get(Lead, lead.id), **values)


def customers(sales: Any) -> list[str]:
    with sales.app.site.read(sales.app.admin) as reader:
        return sorted(each.name for each in reader.all(Customer))


def test_a_lead_becomes_a_customer_with_a_contact_person_and_an_opportunity(sales: Any):
    lead = sales.make(Lead, name="Leila Haddad", company="Haddad & Sons", email="leila@example.com",
                      phone="+44 20 7946 0101", interest="Solar roof", source="Fair", language="fr")  # fmt: skip
    made = convert(sales, lead, amount="12000")
    assert (made.customer.kind, made.customer.name) == ("organisation", "Haddad & Sons")
    assert made.person is not None
    assert (made.person.name, made.person.email) == ("Leila Haddad", "leila@example.com")
    assert made.person.organisation_id == made.customer.id
    assert made.opportunity is not None
    assert (made.opportunity.name, made.opportunity.source) == ("Solar roof", "Fair")
    assert (made.opportunity.customer_id, made.opportunity.contact_id) == (made.customer.id, made.person.id)
    with sales.app.site.read(sales.app.admin) as reader:
        done = reader.get(Lead, lead.id)
    assert (done.status, done.customer_id, done.opportunity_id) == ("converted", made.customer.id, made.opportunity.id)


def test_a_lead_without_a_company_becomes_a_person(sales: Any):
    made = convert(sales, sales.make(Lead, name="王小明", phone="+86 21 0000 0101"))
    assert (made.customer.kind, made.customer.name, made.person) == ("person", "王小明", None)


def test_a_company_without_a_person_becomes_an_organisation_alone(sales: Any):
    made = convert(sales, sales.make(Lead, company="Atelier Lumière", email="info@example.org"))
    assert (made.customer.kind, made.customer.email, made.person) == ("organisation", "info@example.org", None)
    assert customers(sales) == ["Atelier Lumière"]


@pytest.mark.parametrize("known_by", ["email", "phone", "another address"])
def test_somebody_known_by_an_address_is_not_made_again(sales: Any, known_by):
    addresses = {"email": "ada@example.com", "phone": "+442079460102"}
    known = {known_by: addresses[known_by]} if known_by in addresses else {}
    ada = sales.app.create_customer(name="Ada King", **known)
    if known_by == "another address":
        sales.make(ContactPoint, customer_id=ada.id, kind="email", value="ada@example.com")
    made = convert(sales, sales.make(Lead, name="A. King", **addresses))
    assert made.customer.id == ada.id
    assert customers(sales) == ["Ada King"]


def test_a_company_known_by_name_is_not_made_again(sales: Any):
    firm = sales.app.create_customer(kind="organisation", name="Café Léon")
    made = convert(sales, sales.make(Lead, name="Ines Roy", company="CAFE LEON"))
    assert made.customer.id == firm.id
    assert customers(sales) == ["Café Léon", "Ines Roy"]


def test_another_person_of_the_same_name_is_made(sales: Any):
    sales.app.create_customer(name="John Smith", email="john@example.com")
    convert(sales, sales.make(Lead, name="John Smith", email="other@example.com"))
    assert customers(sales) == ["John Smith", "John Smith"]


def test_a_lead_is_converted_once_and_only_by_converting_it(sales: Any):
    lead = sales.make(Lead, name="Ada")
    with pytest.raises(Invalid, match="use the button Convert"):
        sales.make(Lead, name="Bob", status="converted")
    convert(sales, lead)
    with pytest.raises(Invalid, match="already"):
        convert(sales, lead)
    assert len(customers(sales)) == 1


def test_when_the_opportunity_is_refused_no_customer_remains(sales: Any):
    lead = sales.make(Lead, name="Ada")
    with pytest.raises(Invalid):
        convert(sales, lead, amount="-5")
    assert customers(sales) == []


def test_leads_go_round_fairly_also_when_two_come_in_at_once(sales: Any):
    team = sales.app.team("Inside sales")
    people = [sales.app.user(name, teams=[team]) for name in ("Noa", "Wei", "Darya")]
    sales.app.user("Somebody else")
    hand_out(sales, "Inside sales")

    def capture(name: str) -> None:
        for number in range(6):
            sales.make(Lead, name=f"{name} {number}")

    threads = [threading.Thread(target=capture, args=[name]) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sales.app.site.read(sales.app.admin) as reader:
        owners = [lead.owner_id for lead in reader.all(Lead)]
    assert {person.id: owners.count(person.id) for person in people} == {person.id: 4 for person in people}


def test_an_owner_who_is_named_stays_and_without_a_team_the_maker_owns_the_lead(sales: Any):
    noa = sales.app.user("Noa")
    assert sales.make(Lead, name="A").owner_id == sales.app.admin.id
    hand_out(sales, "Nobody’s team")
    assert sales.make(Lead, name="B").owner_id == sales.app.admin.id
    assert sales.make(Lead, name="C", owner_id=noa.id).owner_id == noa.id


def test_the_buttons_do_what_they_say(sales: Any):
    team = sales.app.team("Sales")
    noa = sales.app.user("Noa", teams=[team])
    lead = sales.make(Lead, name="Ada")
    press(sales, lead, "qualify")
    hand_out(sales, "Sales")
    press(sales, lead, "assign")
    press(sales, lead, "convert", amount="90")
    with sales.app.site.read(sales.app.admin) as reader:
        done, (won,) = reader.get(Lead, lead.id), reader.all(Opportunity)
    assert (done.status, done.owner_id, won.owner_id) == ("converted", noa.id, noa.id)
    with pytest.raises(Invalid, match="reason is needed"):
        press(sales, won, "lose")
    press(sales, won, "next_step", next_step="Visit")
    press(sales, won, "win")
    with sales.app.site.read(sales.app.admin) as reader:
        assert reader.get(Opportunity, won.id).probability == 100


def press(sales: Any, record, name: str, **values):
    action = sales.app.site.actions[f"{record.meta.name}:{name}"]
    with sales.app.site.write(sales.app.admin) as unit:
        known = unit.get(type(record), record.id)
        assert action.applies(known)
        return action.run(unit, [known], {**{f.name: None for f in action.fields}, **values})


def hand_out(sales: Any, team: str) -> None:
    with sales.app.site.db.write() as connection:
        sales.app.site.settings.set(connection, "sales.lead_assignment", "round_robin")
        sales.app.site.settings.set(connection, "sales.lead_team", team)


def test_importing_leads_says_what_columns_become_in_the_readers_language(sales: Any):
    noa = sales.app.user("Noa", roles=["manager"], language="fr")
    run = imports.start(sales.app.site, noa, "sales.lead", b"Prenom,Bureau\nAda,Acme\n", "leads.csv")
    labels = {target.name: target.label for target in imports.look(sales.app.site, noa, run.id).targets}
    assert labels["rating"] == "Évaluation"
