"""Every end a message can come to: sent, tried again, failed, bounced, in doubt; and what people do about it."""

from __future__ import annotations

import io

from rapport import Attachment, Incoming, Interaction, Suppression, message_status, receive, store
from rapport.testing.paper import sent
from tests.interactions.conftest import Desk


def test_what_fails_for_now_is_tried_again_and_at_last_has_failed(desk: Desk):
    busy = desk.person("Busy", email="busy@example.com")
    message = desk.write(busy, purpose="service")
    desk.settle()
    first = desk.look(message)
    assert (first.state, first.reason, first.attempts) == ("waiting", "The line is busy.", 1)
    desk.settle(seconds=20)
    assert desk.look(message).attempts == 1, "not before its time"
    for _hour in range(8):
        desk.settle(hours=12)
    failed = desk.look(message)
    assert (failed.state, failed.attempts) == ("failed", 8)
    assert desk.act(message, "send_again") == "1 message is tried again."
    assert desk.look(message).state == "waiting"


def test_what_fails_for_good_takes_the_address_out_of_use(desk: Desk):
    gone = desk.person("Gone", email="gone@example.com")
    message = desk.write(gone, purpose="service")
    desk.settle()
    assert (desk.look(message).state, desk.look(message).reason) == ("failed", "Nobody lives there any more.")
    assert desk.write(gone, purpose="service").reason == "Do not contact: It came back."


def test_what_may_have_gone_out_is_never_repeated_by_itself(desk: Desk):
    ada = desk.person("Crash", email="crash@example.com")
    message, other = desk.write(ada, purpose="service"), desk.write(ada, purpose="service", body="Another")
    desk.settle()
    desk.settle(days=1)
    doubtful = desk.look(message)
    assert doubtful.state == "doubtful"
    assert "Nobody knows whether it went out: RuntimeError: The pen broke." in doubtful.reason
    assert len(desk.slips) == 2
    listed = desk.app.browser().get("/message?filter=state+%3D+%22doubtful%22").get_data(as_text=True)
    assert str(message.id) in listed
    assert desk.act(message, "it_went_out") == "1 message is noted as sent."
    assert desk.look(message).interaction_id is not None
    desk.act(other, "not_sent")
    desk.settle()
    assert len(desk.slips) == 3


def test_a_bounce_reaches_the_message_and_suppresses_the_address(desk: Desk):
    ada = desk.person("Ada")
    message = desk.write(ada)
    desk.settle()
    with desk.site.write(desk.app.admin) as unit:
        assert message_status(unit, "slip", f"paper-{message.id}", "delivered") is not None
        assert message_status(unit, "slip", "somebody else's", "bounced") is None
        message_status(unit, "slip", f"paper-{message.id}", "bounced", "550 no such user")
        message_status(unit, "slip", f"paper-{message.id}", "bounced", "550 no such user")
    bounced = desk.look(message)
    assert (bounced.state, bounced.reason) == ("bounced", "550 no such user")
    assert desk.write(ada).reason == "Do not contact: It came back."
    with desk.site.read(desk.app.admin) as reader:
        assert len(reader.all(Suppression)) == 1


def test_what_comes_in_finds_its_customer_and_its_thread_once(desk: Desk):
    ada = desk.person("Ada")
    message = desk.write(ada, subject="Question", body="May we?")
    desk.settle()
    with desk.site.write(desk.app.admin) as unit:
        answer = Incoming("slip", "a-1", "ADA@example.com", "Ada", "Re: Question", "Yes.",
                          references=[f"paper-{message.id}"])  # fmt: skip
        first = receive(unit, answer)
        assert receive(unit, answer).id == first.id
        colleague = receive(unit, Incoming("slip", "a-2", "bob@example.com", "Bob", "Re: Question", references=["a-1"]))
        stranger = receive(unit, Incoming("slip", "a-3", "zoe@example.com", "Zoe Newcomer", "Hello"))
        assert receive(unit, Incoming("slip", "a-4", "zoe@example.com", "Zoe")).customer_id == stranger.customer_id
    assert first.customer_id == colleague.customer_id == ada.id
    assert first.thread_id == colleague.thread_id == desk.look(message).thread_id
    with desk.site.read(desk.app.admin) as reader:
        assert [each.name for each in reader.all(type(ada), order=type(ada).id)] == ["Ada", "Zoe Newcomer"]
    reply = desk.write(ada, purpose="service", body="Thank you", reply_to=first)
    desk.settle()
    slip = sent(desk.site)[-1]
    assert slip["in_reply_to"] == "a-1"
    assert slip["references"] == [f"paper-{message.id}", "a-1", "a-2"]
    assert desk.look(reply).thread_id == first.thread_id


def test_files_go_out_and_stay_with_the_interaction(desk: Desk):
    ada = desk.person("Ada")
    offer = store(desk.site, io.BytesIO(b"99 euros"), "offer.txt", desk.app.admin)
    message = desk.write(ada, attachments=[offer.id])
    desk.settle()
    assert sent(desk.site)[0]["files"] == {"offer.txt": "99 euros"}
    with desk.site.read(desk.app.admin) as reader:
        interaction = reader.get(Interaction, desk.look(message).interaction_id)
        (attachment,) = reader.all(Attachment, Attachment.interaction_id == interaction.id)
    assert (attachment.file, attachment.name) == (offer.id, "offer.txt")
