"""One timeline, complete and in one order, and read along an index however much there is."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import event, insert, text

from rapport import Customer, Interaction, Participant, uuid7
from rapport.customers.service import merge, timeline
from rapport.entities import table_of
from tests.interactions.conftest import NOON, Desk


def titles(desk: Desk, customer, **asked) -> list[str]:
    with desk.site.read(desk.app.admin) as reader:
        return [item.title for item in timeline(reader, customer.id, **asked).items]


def test_an_organisation_sees_the_contacts_of_its_people_and_keeps_them(desk: Desk):
    acme = desk.person("Acme", kind="organisation", agreed=False)
    other = desk.person("Other", kind="organisation", agreed=False, email="other@example.com")
    ada = desk.person("Ada", organisation_id=acme.id)
    bob = desk.person("Bob")
    with desk.site.write(desk.app.admin) as unit:
        meeting = unit.create(Interaction, {"customer_id": ada.id, "kind": "meeting", "subject": "Plans"})
        unit.create(Participant, {"interaction_id": meeting.id, "customer_id": bob.id})
        unit.update(unit.get(type(ada), ada.id), {"organisation_id": other.id})
        unit.create(Interaction, {"customer_id": ada.id, "subject": "Farewell",
                                  "at": (NOON + dt.timedelta(days=1)).isoformat()})  # fmt: skip
        unit.update(meeting, {"at": (NOON - dt.timedelta(days=1)).isoformat()})
    assert titles(desk, ada) == ["Farewell", "Plans"]
    assert titles(desk, acme) == ["Plans"], "it was with Acme, whoever she works for now"
    assert titles(desk, other) == ["Farewell"]
    assert titles(desk, bob) == ["Plans"]
    merge(desk.site, desk.app.admin, ada.id, [bob.id])
    merge(desk.site, desk.app.admin, other.id, [acme.id])
    assert titles(desk, ada) == titles(desk, other) == ["Farewell", "Plans"]


def test_it_is_filtered_and_searched_on_the_page_and_over_the_api(desk: Desk):
    ada = desk.person("Ada")
    desk.write(ada, subject="Spring offer", body="Tulips")
    desk.settle()
    with desk.site.write(desk.app.admin) as unit:
        unit.create(
            Interaction, {"customer_id": ada.id, "kind": "call", "direction": "in", "subject": "Asks for roses"}
        )
    assert titles(desk, ada, channel="slip") == ["Spring offer"]
    assert titles(desk, ada, direction="in") == titles(desk, ada, words="ROSE") == ["Asks for roses"]
    assert titles(desk, ada, words="tulips offer") == ["Spring offer"]
    assert titles(desk, ada, words="tulips roses") == []
    page = desk.app.browser().get(f"/customer/{ada.id}/timeline?words=roses&direction=in").get_data(as_text=True)
    assert "Asks for roses" in page
    assert "Spring offer" not in page
    address = f"/api/v1/customer/{ada.id}/timeline"
    first = desk.app.client.get(address, query_string={"limit": 1}).json
    second = desk.app.client.get(address, query_string={"limit": 1, "after": first["next"]}).json
    assert [each["title"] for each in (*first["items"], *second["items"])] == ["Asks for roses", "Spring offer"]
    assert second["next"] is None
    found = desk.app.client.get(address, query_string={"q": "tulips"}).json["items"]
    assert [each["kind"] for each in found] == ["slip"]


def test_each_of_its_lists_is_read_along_an_index(desk: Desk):
    ada, acme, bob, many = (
        desk.person(name, agreed=False, email=f"{name}@example.com") for name in ("Ada", "Acme", "Bob", "Many")
    )

    def of(customer: Customer, organisation: Customer | None, number: int) -> dict[str, Any]:
        return {"id": uuid7(), "customer_id": customer.id, "organisation_id": organisation and organisation.id,
                "kind": "note", "direction": "", "subject": f"{number}", "custom": {},
                "at": NOON - dt.timedelta(minutes=number)}  # fmt: skip

    rows = [of(ada, acme, number) for number in range(400)]
    others = [of(many, None, number) for number in range(8000)]  # among which to look by time alone would be long
    took_part = [{"id": uuid7(), "interaction_id": row["id"], "customer_id": bob.id, "at": row["at"], "custom": {}}
                 for row in rows]  # fmt: skip
    with desk.site.db.write() as connection:
        connection.execute(insert(table_of(Interaction)), rows + others)
        connection.execute(insert(table_of(Participant)), took_part)
        connection.execute(text("ANALYZE"))  # as databases do by themselves once there is much
    place = f"{rows[200]['at'].isoformat()}~interaction:{rows[200]['id']}~1"
    for customer, index in (
        (ada, "ix_interaction_timeline"),
        (acme, "ix_interaction_organisation"),
        (bob, "ix_participant_timeline"),
    ):
        for after, first in (("", 0), (place, 201)):
            found, plans = explained(desk, customer, after)
            assert found == [str(number) for number in range(first, first + 50)]
            (plan,) = [plan for plan in plans if index in plan]
            assert "Sort" not in plan, plan
            assert "TEMP B-TREE" not in plan, plan


def explained(desk: Desk, customer: Customer, after: str) -> tuple[list[str], list[str]]:
    """The titles of a page of a timeline, and how the database says that it reads each of the lists behind it."""
    plans: list[str] = []
    sqlite = desk.site.config.is_sqlite

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT") and " interaction" in statement and "LIMIT" in statement:
            asked = cursor.connection.cursor()
            asked.execute(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{statement}", parameters)
            plans.append("\n".join(str(row[-1]) for row in asked.fetchall()))
            asked.close()

    with desk.site.read(desk.app.admin) as reader:
        if not sqlite:
            reader.session.execute(text("SET LOCAL enable_seqscan = off"))  # so few rows would else be read at once
        event.listen(desk.site.db.reading, "before_cursor_execute", explain)
        try:
            page = timeline(reader, customer.id, limit=50, after=after)
        finally:
            event.remove(desk.site.db.reading, "before_cursor_execute", explain)
    return [item.title for item in page.items], plans
