"""Nothing goes out except through the gate, and everything it refuses is kept with its reason."""

from __future__ import annotations

import datetime as dt

import pytest

from rapport import FrequencyCap, Interaction, Invalid, Message, Purpose, QuietHours, Suppression
from rapport.customers.erasing import erase
from rapport.customers.service import merge
from tests.interactions.conftest import NOON, Desk


def test_a_message_goes_out_and_is_on_the_timeline(desk: Desk):
    ada = desk.person("Ada")
    message = desk.write(ada, subject="News", body="There is news. {preferences}")
    desk.settle()
    message = desk.look(message)
    with desk.site.read(desk.app.admin) as reader:
        interaction = reader.get(Interaction, message.interaction_id)
    assert message.state == "sent"
    assert (interaction.customer_id, interaction.channel, interaction.direction) == (ada.id, "slip", "out")
    assert interaction.external_id == message.external_id == f"paper-{message.id}"
    assert desk.slips == ["ada@example.com"]


def test_only_who_agreed_is_written_to_and_the_newest_word_counts(desk: Desk):
    ada = desk.person("Ada", agreed=False)
    assert desk.write(ada).reason == "They have not agreed to “News and offers” by this channel."
    desk.say(ada, "granted", channel="letter")
    assert desk.write(ada).state == "refused"
    desk.say(ada, "granted", channel="slip")
    waiting = desk.write(ada)
    assert waiting.state == "waiting"
    desk.say(ada, "denied")
    assert desk.write(ada).reason == "They declined “News and offers”."
    desk.settle()
    assert desk.look(waiting).reason == "They declined “News and offers”.", "it is asked again before it goes out"
    assert desk.write(ada, purpose="service").state == "waiting", "what they ordered is another matter"
    desk.settle()
    assert len(desk.slips) == 1


def test_a_legitimate_interest_ends_where_they_object(desk: Desk):
    desk.create(Purpose, name="survey", title="Survey", basis="legitimate_interest")
    ada = desk.person("Ada", agreed=False)
    assert desk.write(ada, purpose="survey").state == "waiting"
    desk.say(ada, "denied", "survey", "slip")
    assert desk.write(ada, purpose="survey").state == "refused"


def test_who_asked_for_peace_has_it_whatever_it_is_for(desk: Desk):
    ada, bob = desk.person("Ada"), desk.person("Bob")
    desk.create(Suppression, customer_id=ada.id, channel="letter", reason="asked")
    assert desk.write(ada).state == "waiting", "it is for letters only"
    until = (NOON + dt.timedelta(days=2)).isoformat()
    desk.create(Suppression, customer_id=ada.id, reason="legal", until=until)
    assert desk.write(ada, purpose="service").reason == "Do not contact: A court or an authority."
    desk.clock.forward(days=3)
    assert desk.write(ada, purpose="service").state == "waiting"
    desk.create(Suppression, address=" Bob@Example.com ", reason="complaint")
    assert desk.write(bob).reason == "Do not contact: They complained."
    assert desk.write(bob, address="bob@elsewhere.example").state == "waiting"


def test_who_is_gone_or_has_no_address_is_not_written_to(desk: Desk):
    archived, ada, twin = desk.person("Archie"), desk.person("Ada"), desk.person("Twin", email="")
    with desk.site.write(desk.app.admin) as unit:
        unit.archive(unit.get(type(archived), archived.id))
    assert desk.write(archived).reason == "The customer is archived."
    assert desk.write(twin).reason == "Twin has no address for this channel."
    assert desk.write(ada, address="not an address").state == "refused"
    merge(desk.site, desk.app.admin, ada.id, [twin.id])
    assert "merged into another" in desk.write(twin).reason
    waiting = desk.write(ada)
    erase(desk.site, desk.app.admin, ada.id)
    desk.settle()
    with desk.site.read(desk.app.admin) as reader:
        assert reader.all(Message, Message.id == waiting.id) == []
    again = desk.person("Ada again", email="ada@example.com")
    assert desk.write(again).reason == "Do not contact: Erased.", "a list that still has them must not reach them"
    assert desk.slips == []


def test_it_waits_for_the_end_of_the_quiet_hours_where_the_customer_lives(desk: Desk):
    berlin = desk.person("Bea", time_zone="Europe/Berlin")
    tehran = desk.person("Tara", time_zone="Asia/Tehran")
    desk.clock.now = dt.datetime(2026, 3, 28, 19, tzinfo=dt.UTC)  # 20:00 and 22:30
    assert desk.write(berlin).not_before is None
    desk.settle()
    waiting = desk.write(tehran)
    assert (waiting.state, waiting.reason) == ("waiting", "Waits for the end of quiet hours.")
    assert waiting.not_before == dt.datetime(2026, 3, 29, 4, 30, tzinfo=dt.UTC)  # 08:00
    desk.clock.now = dt.datetime(2026, 3, 28, 21, tzinfo=dt.UTC)
    night = desk.write(berlin)  # the clock goes forward in this night: 08:00 comes an hour earlier
    assert night.not_before == dt.datetime(2026, 3, 29, 6, tzinfo=dt.UTC)
    assert desk.write(berlin, purpose="service").not_before is None, "an answer may come at night"
    desk.settle()
    assert len(desk.slips) == 2
    desk.settle(hours=10)
    assert sorted(desk.slips)[-1] == "tara@example.com"
    assert len(desk.slips) == 4


def test_quiet_days_follow_each_other_and_always_is_a_refusal(desk: Desk):
    ada = desk.person("Ada")
    desk.create(QuietHours, name="Weekend", days=["sat", "sun"], begins="00:00", ends="00:00")
    desk.clock.now = dt.datetime(2026, 3, 6, 22, tzinfo=dt.UTC)  # Friday night
    assert desk.write(ada).not_before == dt.datetime(2026, 3, 9, 8, tzinfo=dt.UTC)
    desk.create(QuietHours, name="Never", begins="00:00", ends="00:00", channel="slip")
    assert desk.write(ada).reason == "It is always quiet hours for this channel."
    with pytest.raises(Invalid, match="unknown day 'noday'"):
        desk.create(QuietHours, name="Wrong", days=["noday"])


def test_a_cap_counts_by_person_channel_and_campaign(desk: Desk):
    desk.create(FrequencyCap, name="Two a week", most=2, days=7)
    desk.create(FrequencyCap, name="Once a campaign", most=1, days=30, per_campaign=True)
    ada = desk.person("Ada", address={"street": "1 Way"})
    assert desk.write(ada, campaign="spring").state == "waiting"
    assert "Once a campaign" in desk.write(ada, campaign="spring").reason
    assert desk.write(ada, campaign="summer", channel="letter").state == "waiting"
    assert desk.write(ada).reason == "The cap “Two a week” is reached: at most 2 within 7 days."
    assert desk.write(ada, purpose="service").state == "waiting", "what they ordered does not count"
    desk.settle()
    desk.clock.forward(days=8)
    assert desk.write(ada).state == "waiting"
    assert "Once a campaign" in desk.write(ada, campaign="summer").reason
    assert len(desk.slips) == 3


def test_some_may_send_only_what_somebody_else_approved(desk: Desk):
    actors, ada = desk.app.actors(), desk.person("Ada")
    desk.create(Purpose, name="offer", title="Offer", basis="contract", needs_approval=True)
    assert desk.write(ada, actor=actors.viewer).reason == "Its sender may not send without approval."
    held = desk.write(ada, actor=actors.member, purpose="offer")
    assert (held.state, held.reason) == ("held", "Messages for “Offer” need approval.")
    desk.settle()
    assert desk.slips == []
    assert desk.act(held, "approve", actors.manager) == "1 message may go out."
    desk.settle()
    message = desk.look(held)
    assert (message.state, message.approved_by_id) == ("sent", actors.manager.id)
    assert not actors.member.may("message.approve")


def test_who_left_since_sends_nothing_more(desk: Desk):
    from rapport import User
    from rapport.access import system
    from rapport.access.service import deactivate

    actors, ada = desk.app.actors(), desk.person("Ada")
    waiting = desk.write(ada, actor=actors.member)
    with desk.site.write(system("test")) as unit:
        deactivate(unit, unit.get(User, actors.member.id))
    desk.site.forget_actors()
    desk.settle()
    assert desk.look(waiting).state == "held"
    assert desk.slips == []


def test_what_the_gate_has_seen_stays_as_it_was(desk: Desk):
    ada = desk.person("Ada")
    message = desk.write(ada, not_before=NOON + dt.timedelta(days=1))
    with pytest.raises(Invalid, match="cannot be changed any more"), desk.site.write(desk.app.admin) as unit:
        unit.update(unit.get(Message, message.id), {"body": "Something else", "channel": "letter"})
    assert desk.act(message, "cancel") == "1 message is cancelled."
    desk.settle(days=2)
    assert desk.slips == []


def test_whoever_makes_a_message_by_the_api_meets_the_same_gate(desk: Desk):
    ada, marketing = desk.person("Ada", agreed=False), desk.purpose("marketing")
    form = {"customer_id": str(ada.id), "channel": "slip", "purpose_id": str(marketing.id), "body": "Hello"}
    answer = desk.app.client.post("/api/v1/message", json=form)
    assert answer.status_code == 201
    assert (answer.json["state"], answer.json["reason"]) == (
        "refused", "They have not agreed to “News and offers” by this channel.",
    )  # fmt: skip
    assert desk.app.client.post("/api/v1/message", json={**form, "state": "sent"}).status_code == 422
    assert desk.app.client.post("/api/v1/message", json={**form, "channel": "smoke"}).status_code == 422
    viewer = desk.app.api(desk.app.actors().viewer)
    assert viewer.post("/api/v1/message", json=form).status_code == 403
    desk.say(ada, "granted")
    assert desk.app.client.post("/api/v1/message", json=form).json["state"] == "waiting"
    desk.settle()
    assert desk.slips == ["ada@example.com"]
