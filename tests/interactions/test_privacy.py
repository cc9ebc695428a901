"""What is held on a person can be handed over whole, forgotten, and ended by rules once it is old."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from sqlalchemy import select

from rapport import (
    Attachment,
    Consent,
    Customer,
    Forbidden,
    Interaction,
    Invalid,
    Participant,
    RetentionRule,
    Suppression,
    Task,
    enqueue_job,
    send,
    store,
    system,
)
from rapport.customers.erasing import erase
from rapport.customers.personal_data import export_person
from rapport.customers.service import merge
from rapport.interactions.consent import fingerprint
from rapport.jobs import job_table
from tests.interactions.conftest import Desk


def handed_over(desk: Desk, customer: Customer) -> tuple[dict, dict[str, bytes]]:
    """The data of a person's ZIP, and its files."""
    answer = desk.app.client.get(f"/api/v1/customer/{customer.id}/personal-data")
    assert answer.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(answer.get_data()))
    answer.close()
    files = {name: archive.read(name) for name in archive.namelist() if name.startswith("files/")}
    return json.loads(archive.read("data.json")), files


def test_all_that_is_held_on_a_person_is_handed_over_and_nothing_of_others(desk: Desk):
    ada, twin, bob = desk.person("Ada"), desk.person("Twin", email="twin@example.com"), desk.person("Bob")
    offer = store(desk.site, io.BytesIO(b"99 euros"), "offer.txt", desk.app.admin)
    with desk.site.write(desk.app.admin) as unit:
        call = unit.create(Interaction, {"customer_id": ada.id, "kind": "call", "subject": "About prices"})
        unit.create(Attachment, {"interaction_id": call.id, "file": str(offer.id)})
        unit.create(Task, {"title": "Call Ada back", "customer_id": ada.id})
        meeting = unit.create(Interaction, {"customer_id": bob.id, "kind": "meeting", "subject": "Bob's plans"})
        unit.create(Participant, {"interaction_id": meeting.id, "customer_id": ada.id, "address": "ada@example.com"})
        send(unit, channel="slip", customer=ada, purpose="marketing", body="Hello Ada")
    desk.settle()
    merge(desk.site, desk.app.admin, ada.id, [twin.id])
    data, files = handed_over(desk, ada)
    records = data["records"]
    assert sorted(each["name"] for each in records["customer"]) == ["Ada", "Twin"]
    assert {each["subject"] for each in records["interaction"]} == {"About prices", "Hello Ada"}
    assert [each["address"] for each in records["participant"]] == ["ada@example.com"]
    assert {"task", "consent", "message", "attachment"} <= set(records)
    assert [(name.partition("-")[2], content) for name, content in files.items()] == [("offer.txt", b"99 euros")]
    assert {"customer", "interaction"} <= {each["entity"] for each in data["history"]}
    assert "Bob" not in json.dumps(data)
    with pytest.raises(Forbidden):
        export_person(desk.site, desk.app.actors().viewer, ada.id, io.BytesIO())


def test_what_plugins_and_administrators_added_is_handed_over_too(paper: str, make_app):
    from rapport.fit import CustomField

    with make_app(plugins=[paper, "loyalty"]) as app, app.site.write(app.admin) as unit:
        unit.create(CustomField, {"entity": "customer", "name": "x_shoe", "label": "Shoe size", "kind": "integer"})
    with make_app(plugins=[paper, "loyalty"]) as app:
        ada = app.create_customer(name="Ada", x_shoe=38)
        target = io.BytesIO()
        export_person(app.site, app.admin, ada.id, target)
        data = json.loads(zipfile.ZipFile(target).read("data.json"))["records"]
        assert data["customer"][0]["x_shoe"] == 38
        assert len(data["loyalty.card"]) == 1


def test_who_is_erased_leaves_a_fingerprint_and_no_name(desk: Desk):
    ada, bob = desk.person("Ada"), desk.person("Bob")
    with desk.site.write(desk.app.admin) as unit:
        meeting = unit.create(Interaction, {"customer_id": bob.id, "kind": "meeting"})
        unit.create(Participant, {"interaction_id": meeting.id, "customer_id": ada.id, "address": "ada@example.com",
                                  "name": "Ada L."})  # fmt: skip
        unit.create(Suppression, {"customer_id": ada.id, "reason": "asked"})
        send(unit, channel="slip", customer=ada, purpose="service", body="Hello Ada")
    erase(desk.site, desk.app.admin, ada.id)
    with desk.site.read(desk.app.admin) as reader:
        (kept,) = reader.all(Suppression)
        (participant,) = reader.all(Participant)
        assert reader.all(Consent, Consent.customer_id == ada.id) == []
    assert (kept.address, kept.customer_id, kept.reason) == ("", None, "erased")
    assert kept.fingerprint == fingerprint("ada@example.com")
    assert (participant.name, participant.address, participant.customer_id) == ("", "", None)
    desk.settle()
    assert desk.slips == []


def nightly(desk: Desk) -> str:
    """Have the job of the night done now, and read what it says."""
    with desk.site.db.write() as connection:
        job_id = enqueue_job(connection, "core.retention", {}, actor=system("test"))
    desk.settle()
    with desk.site.db.read() as connection:
        return str(connection.scalar(select(job_table.c.message).where(job_table.c.id == job_id)))


def test_rules_end_what_is_kept_too_long_and_first_say_what_they_would_do(desk: Desk):
    for name in ("Old", "Lead"):
        desk.person(name, source="fair" if name == "Lead" else "")
    kept = desk.person("Kept", source="fair")
    rule = desk.create(RetentionRule, name="Leads", kind="customer", filter='source = "fair"', days=365, action="erase",
                       since="updated_at")  # fmt: skip
    desk.clock.forward(days=400)
    with desk.site.write(desk.app.admin) as unit:
        unit.update(unit.get(Customer, kept.id), {"note": "Bought something"})
        said = desk.site.actions["retention_rule:count"].run(unit, [rule], {})
    assert said == "“Leads” would end 1 record now."
    assert nightly(desk) == "0 records ended, 0 kept because they are in use.", "it is not in force yet"
    with desk.site.write(desk.app.admin) as unit:
        unit.update(unit.get(RetentionRule, rule.id), {"active": True})
    assert nightly(desk) == "1 records ended, 0 kept because they are in use."
    with desk.site.read(desk.app.admin) as reader:
        assert sorted(each.name for each in reader.all(Customer)) == ["Erased", "Kept", "Old"]
    with pytest.raises(Invalid, match="for customers only"):
        desk.create(RetentionRule, name="Wrong", kind="task", days=1, action="erase")
    with pytest.raises(Invalid, match="erase them"):
        desk.create(RetentionRule, name="Wrong", kind="customer", days=1, action="delete")
