"""Inbound hooks: who proves themselves is heard, once each; nobody else learns whether there is a hook."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

import pytest
from standardwebhooks import Webhook as Reference

from rapport import Customer, Interaction, Invalid, system
from rapport.access import Role
from rapport.builtin.webhooks import signing
from rapport.builtin.webhooks.inbound import InboundHook, event_table
from rapport.entities import utcnow
from rapport.testing import TestApp
from tests.torture import tally, tries
from tests.web.conftest import Person

ORDER = {"order": {"no": 17, "buyer": {"name": "Ada", "mail": "ada@example.com"}, "lines": [{"text": "Two apples"}]}}
TO_INTERACTION = """
customer.email = order.buyer.mail
customer.name = order.buyer.name
kind = "note"
subject = order.no
body = order.lines.0.text
"""


@dataclass
class Sender:
    """The other program."""

    app: TestApp
    path: str
    secret: str

    def sends(self, body: Any, *, message_id: str = "msg_1", at: dt.datetime | None = None, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        at = at or utcnow()
        signed = {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())),
                  "webhook-signature": Reference(self.secret).sign(message_id, at, raw.decode())}  # fmt: skip
        return self.posts(raw, {**signed, **headers})

    def posts(self, raw: bytes, headers: dict[str, str]) -> Any:
        answer = self.app.flask.test_client().post(self.path, data=raw, headers=headers)
        self.app.settle()
        return answer


def made(app: TestApp, actor: Any = None, **values: Any) -> InboundHook:
    given = {"name": "Shop", "makes": "customer", "mapping": "name = name\nemail = email"}
    with app.site.write(actor or app.admin) as unit:
        return unit.create(InboundHook, given | values)


def sender(app: TestApp, hook: InboundHook) -> Sender:
    shown = app.client.get(f"/api/v1/inbound_hook/{hook.id}/secret").get_json()
    return Sender(app, shown["url"].removeprefix("http://localhost"), shown["secret"])


def heard(app: TestApp, hook: InboundHook) -> list[dict[str, Any]]:
    return app.client.get(f"/api/v1/inbound_hook/{hook.id}/messages").get_json()["items"][::-1]


def everybody(app: TestApp) -> list[Customer]:
    with app.site.read(system("test")) as reader:
        return reader.all(Customer)


def test_what_is_said_twice_is_heard_once_and_becomes_a_record(app: TestApp):
    hook = made(app, mapping='name = buyer.name\nemail = buyer.mail\nsource = "Shop"\nphone = buyer.tel')
    shop = sender(app, hook)
    for _ in range(3):
        answer = shop.sends({"buyer": {"name": "Ada", "mail": "ADA@example.com"}})
        assert answer.status_code == 202
    (ada,) = everybody(app)
    assert (ada.name, ada.email, ada.source) == ("Ada", "ada@example.com", "Shop")
    (event,) = heard(app, hook)
    assert (event["state"], event["record_id"]) == ("done", str(ada.id))
    with app.site.db.read() as connection:
        assert connection.execute(event_table.select()).one().body == "", "nothing is kept of it beside the record"
    assert str(ada.id) in Person(app).opens(f"/inbound_hook/{hook.id}")


def test_a_record_that_is_known_is_changed(app: TestApp):
    shop = sender(app, made(app, mapping="name = name\nreference = no", match_on="reference"))
    shop.sends({"no": 17, "name": "Ada"}, message_id="a")
    shop.sends({"no": 17, "name": "Ada Lovelace"}, message_id="b")
    shop.sends({"no": 18, "name": "Bob"}, message_id="c")
    assert sorted((each.reference, each.name) for each in everybody(app)) == [("17", "Ada Lovelace"), ("18", "Bob")]


def test_a_message_becomes_an_interaction_with_the_customer_it_belongs_to(app: TestApp):
    shop = sender(app, made(app, makes="interaction", mapping=TO_INTERACTION))
    shop.sends(ORDER, message_id="a")
    shop.sends(ORDER, message_id="b")
    (ada,) = everybody(app)
    with app.site.read(system("test")) as reader:
        found = reader.all(Interaction)
    assert [(each.customer_id, each.subject, each.body) for each in found] == [(ada.id, "17", "Two apples")] * 2


def test_nobody_learns_whether_there_is_a_hook(app: TestApp):
    hook = made(app)
    shop = sender(app, hook)
    off = sender(app, made(app, name="Off", active=False))
    body = {"name": "Eve"}
    nowhere = Sender(app, "/hooks/in/nowhere", shop.secret).sends(body)
    answers = [
        nowhere,
        off.sends(body),
        Sender(app, shop.path, off.secret).sends(body),
        shop.posts(b'{"name": "Eve"}', {}),
        shop.sends(body, **{"webhook-signature": "v1,"}),
        shop.sends(body, **{"webhook-signature": "v1,\xff v2,x"}),
        shop.sends(body, **{"webhook-timestamp": "٣"}),
        shop.sends(body, **{"webhook-id": "other"}),
        shop.posts(b"x" * 1000, {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,x"}),
    ]
    plain = {(each.status_code, each.data, each.content_type) for each in answers}
    assert len(plain) == 1, plain
    assert answers[0].status_code == 401
    for path in (shop.path, "/hooks/in/nowhere"):
        assert app.flask.test_client().get(path).status_code == 405
        assert app.flask.test_client().post(path, data=b"x" * 300_000).status_code == 413
    assert everybody(app) == []
    assert heard(app, hook) == []


def test_what_is_old_or_was_changed_on_the_way_or_cannot_be_kept_is_refused(app: TestApp):
    shop = sender(app, made(app))
    for minutes in (-6, 6):
        answer = shop.sends({"name": "Eve"}, at=utcnow() + dt.timedelta(minutes=minutes))
        assert (answer.status_code, b"timestamp" in answer.data) == (400, True)
    unfit = (b"nothing", "é".encode("utf-16"), b'{"name": "a\\u0000"}', b"[" * 1000 + b"]" * 1000, b'{"n": NaN}')
    for body in unfit:
        signed = signing.headers([shop.secret], "a", int(utcnow().timestamp()), body)
        assert shop.posts(body, signed).status_code == 400, body
    assert everybody(app) == []


def test_a_plain_hmac_in_a_header_proves_itself_too_and_a_repetition_is_known_by_its_body(app: TestApp):
    shop = sender(app, made(app, signature="hmac", header="X-Shop-Signature"))
    for name in ("Ada", "Ada", "Bob"):
        raw = json.dumps({"name": name}).encode()
        digest = hmac.digest(shop.secret.encode(), raw, hashlib.sha256).hex()
        assert shop.posts(raw, {"X-Shop-Signature": f"sha256={digest}"}).status_code == 202
    assert shop.posts(b"{}", {"X-Shop-Signature": "sha256=00"}).status_code == 401
    assert shop.sends({"name": "Eve"}).status_code == 401, "one way only"
    assert sorted(each.name for each in everybody(app)) == ["Ada", "Bob"]


def test_while_a_secret_is_changed_both_are_good(app: TestApp, monkeypatch: pytest.MonkeyPatch):
    hook = made(app)
    before = sender(app, hook)
    app.client.post(f"/api/v1/inbound_hook/{hook.id}/rotate", json={})
    after = sender(app, hook)
    assert before.secret != after.secret
    assert before.sends({"name": "Ada"}, message_id="a").status_code == 202
    assert after.sends({"name": "Bob"}, message_id="b").status_code == 202
    later = utcnow() + dt.timedelta(days=1, seconds=1)
    monkeypatch.setattr("rapport.entities.types.clock", lambda: later)
    assert before.sends({"name": "Eve"}, message_id="c").status_code == 401
    assert after.sends({"name": "Max"}, message_id="d").status_code == 202


def test_what_fails_is_listed_with_its_reason_and_handled_again(app: TestApp):
    hook = made(app, mapping="name = name\nkind = type")
    shop = sender(app, hook)
    assert shop.sends({"name": "Ada", "type": "robot"}).status_code == 202
    (event,) = heard(app, hook)
    assert event["state"] == "failed"
    assert "kind" in event["error"]
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(InboundHook, hook.id), {"mapping": 'name = name\nkind = "person"'})
    person = Person(app)
    page = person.opens(f"/inbound_hook/{hook.id}")
    assert "Failed" in page
    assert "robot" in page, "one sees what could not be handled"
    person.sends(f"/inbound_hook/{hook.id}/messages/{event['id']}/again")
    app.settle()
    assert [each["state"] for each in heard(app, hook)] == ["done"]
    assert [each.name for each in everybody(app)] == ["Ada"]
    again = app.client.post(f"/api/v1/inbound_hook/{hook.id}/again", json={"message": event["id"]})
    assert again.status_code == 404, "what is done stays done"


def test_a_hook_does_what_its_owner_may_and_no_more(app: TestApp):
    with app.site.write(app.admin) as unit:
        grants = dict.fromkeys(("customer.read", "inbound_hook.read", "inbound_hook.create"), "own")
        unit.create(Role, {"name": "reader", "grants": grants})
    bob = app.user("Bob", roles=["reader"])
    hers = app.create_customer(name="Hers", reference="17")
    hook = made(app, bob, mapping="name = name\nreference = no", match_on="reference")
    shop = sender(app, hook)
    shop.sends({"no": "17", "name": "Taken over"})
    assert [each["state"] for each in heard(app, hook)] == ["failed"]
    assert [(each.id, each.name) for each in everybody(app)] == [(hers.id, "Hers")]
    with pytest.raises(Invalid, match="must be you"):
        made(app, bob, owner_id=str(app.admin.id))


def test_what_could_never_work_is_refused_when_it_is_saved(app: TestApp):
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("makes", {"makes": "custmer"}),
        ("mapping", {"mapping": "name"}),
        ("mapping", {"mapping": "nmae = x"}),
        ("mapping", {"mapping": "version = x"}),
        ("mapping", {"mapping": "owner.password_hash = x"}),
        ("match_on", {"match_on": "nmae"}),
    ]
    for field, values in wrong:
        with pytest.raises(Invalid) as refused:
            made(app, **values)
        assert {problem.field for problem in refused.value.problems} == {field}


@pytest.mark.parametrize("signature", ["standard", "hmac"])
def test_of_what_is_played_again_and_forged_one_message_is_heard(
    app: TestApp, monkeypatch: pytest.MonkeyPatch, signature: str
):
    """Each message ten times; with an older and a later moment, written anew, half, by others' keys and former ones."""
    values = {} if signature == "standard" else {"signature": "hmac", "header": "X-Shop-Signature"}
    hook = made(app, mapping="name = name", **values)
    shop, other = sender(app, hook), sender(app, made(app, name="Other", **values))
    played = forged = 0

    def proof(secret: str, raw: bytes, message_id: str, at: int) -> dict[str, str]:
        if signature == "hmac":
            return {"X-Shop-Signature": "sha256=" + hmac.digest(secret.encode(), raw, hashlib.sha256).hex()}
        return signing.headers([secret], message_id, at, raw)

    def refused(raw: bytes, headers: dict[str, str]) -> None:
        nonlocal forged
        answer = app.flask.test_client().post(shop.path, data=raw, headers=headers)
        assert answer.status_code in {400, 401}, (raw, headers)
        forged += 1

    many = tries(5, long=300)
    for number in range(many):
        now = int(utcnow().timestamp())
        raw = json.dumps({"name": f"Number {number}"}).encode()
        good = proof(shop.secret, raw, f"msg_{number}", now)
        for _ in range(10):
            assert app.flask.test_client().post(shop.path, data=raw, headers=good).status_code == 202
            played += 1
        name, given = next(each for each in good.items() if "signature" in each[0].lower())
        anew = json.dumps({"name": f"Number {number}"}, indent=1).encode()
        for changed in (anew, raw + b" ", b" " + raw, raw[:-1], raw.replace(b"Number", b"number"), b"", raw * 2):
            refused(changed, good)
        bents = {"", "v1,", given[:-2], given[:-2] + "AA", given.swapcase(), given.replace("v1", "v2"), "sha256=00"}
        for bent in bents - {given, given.swapcase() if signature == "hmac" else ""}:
            refused(raw, {**good, name: bent})
        refused(raw, proof(other.secret, raw, f"msg_{number}", now))
        refused(raw, proof("", raw, f"msg_{number}", now) if signature == "hmac" else {})
        if signature == "standard":
            for at in (now - 400, now + 600, now - 86_400, 0, -1):
                refused(raw, proof(shop.secret, raw, f"msg_{number}", at))
            refused(raw, {**good, "webhook-id": f"msg_{number}x"})
            refused(raw, {**good, "webhook-timestamp": str(now + 1)})
    app.settle()
    assert sorted(each.name for each in everybody(app)) == sorted(f"Number {number}" for number in range(many))

    # A key that was changed is good for a day more, and its messages are known by the same ids.
    former = shop.secret
    app.client.post(f"/api/v1/inbound_hook/{hook.id}/rotate", json={})
    now = int(utcnow().timestamp())
    raw = json.dumps({"name": "By the former key"}).encode()
    for secret in (former, sender(app, hook).secret) * 5:
        answer = app.flask.test_client().post(shop.path, data=raw, headers=proof(secret, raw, "msg_by_both", now))
        assert answer.status_code == 202
        played += 1
    later = utcnow() + dt.timedelta(days=1, seconds=1)
    monkeypatch.setattr("rapport.entities.types.clock", lambda: later)
    for raw in (b'{"name": "Too late"}', b'{"name": "Much too late"}'):
        refused(raw, proof(former, raw, "msg_late", int(later.timestamp())))
    app.settle()
    assert len(everybody(app)) == many + 1

    # The defect: nobody compares signatures.
    monkeypatch.setattr(signing, "is_signed", lambda *_: True)
    monkeypatch.setattr(signing, "is_plain_hmac", lambda *_: True)
    raw, at = b'{"name": "Eve"}', int(later.timestamp())
    answer = app.flask.test_client().post(shop.path, data=raw, headers=proof("whsec_" + "QUFB" * 8, raw, "msg_eve", at))
    app.settle()
    caught = len(everybody(app)) - many - 1
    assert (answer.status_code, caught) == (202, 1)
    tally("B12", "signed messages, played again", tried=played, effects=many + 1, twice=0, control=caught)
    tally("B12", "messages with a signature that is not theirs", tried=forged, accepted=0, control=caught)
