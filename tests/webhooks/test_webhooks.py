"""Webhooks: who is told what, signed, again when it fails, and never more than the owner may read."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from standardwebhooks import Webhook as Reference
from standardwebhooks import WebhookVerificationError

from rapport import Customer, Invalid, system
from rapport.access import Role
from rapport.builtin.webhooks import asking
from rapport.builtin.webhooks.model import Webhook
from rapport.testing import TestApp
from tests.torture import tally
from tests.web.conftest import Person
from tests.webhooks.receivers import Heard, Receiver, receiver


@pytest.fixture
def shop() -> Iterator[Receiver]:
    """Somebody else's server."""
    with receiver() as started:
        yield started


@pytest.fixture
def app(make_app: Callable[..., Any], shop: Receiver) -> Iterator[TestApp]:
    """A site that may call that server, although it is on this machine."""
    with make_app(outbound_allow=[shop.at]) as running:
        yield running


def made(app: TestApp, shop: Receiver, actor: Any = None, **values: Any) -> Webhook:
    """A webhook of somebody's."""
    given = {"name": "Shop", "url": shop.url, "events": ["customer.*"], **values}
    with app.site.write(actor or app.admin) as unit:
        return unit.create(Webhook, given)


def messages(shop: Receiver) -> list[dict[str, Any]]:
    return [json.loads(heard.body) for heard in shop.heard]


def rows(app: TestApp, hook: Webhook) -> list[dict[str, Any]]:
    """The messages of a webhook as the API shows them, the oldest first."""
    found = app.client.get(f"/api/v1/webhook/{hook.id}/messages?limit=200").get_json()["items"]
    return found[::-1]


def secret_of(app: TestApp, hook: Webhook) -> str:
    return app.client.get(f"/api/v1/webhook/{hook.id}/secret").get_json()["secret"]


def test_a_receiver_is_told_what_happens_and_can_tell_who_says_it(clock: Any, app: TestApp, shop: Receiver):
    hook = made(app, shop)
    ada = app.create_customer(name="Ada", email="ada@example.com")
    clock.forward(seconds=5)
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"name": "Ada Lovelace"})
    with app.site.write(app.admin) as unit:
        unit.delete(unit.get(Customer, ada.id))
    app.settle()

    told = messages(shop)
    assert [each["type"] for each in told] == ["customer.created", "customer.updated", "customer.deleted"]
    created, updated, deleted = (each["data"] for each in told)
    assert updated["changes"]["name"] == ["Ada", "Ada Lovelace"]
    assert updated["by"] == "Ada Admin"
    assert created["record_id"] == str(ada.id)
    assert deleted["record"] is None
    assert deleted["changes"]["name"] == ["Ada Lovelace", None]

    heard = shop.heard[0]
    assert heard.headers["content-type"] == "application/json"
    assert Reference(secret_of(app, hook)).verify(heard.body, heard.headers)["id"] == heard.headers["webhook-id"]
    with pytest.raises(WebhookVerificationError):
        Reference(secret_of(app, hook)).verify(heard.body.replace(b"Ada", b"Eve"), heard.headers)
    assert len({each.headers["webhook-id"] for each in shop.heard}) == 3
    assert [row["state"] for row in rows(app, hook)] == ["sent"] * 3


def test_a_message_has_the_record_as_the_api_shows_it(app: TestApp, shop: Receiver):
    made(app, shop)
    ada = app.create_customer(name="Ada", tags=["vip"])
    assert messages(shop)[0]["data"]["record"] == app.client.get(f"/api/v1/customer/{ada.id}").get_json()


def test_only_the_events_that_were_asked_for_and_meet_the_filter(app: TestApp, shop: Receiver):
    made(app, shop, events=["customer.created", "customer.deleted"], filter='tags has "vip"')
    vip = app.create_customer(name="Vip", tags=["vip"])
    plain = app.create_customer(name="Plain")
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, vip.id), {"name": "Very"})
    with app.site.write(app.admin) as unit:
        unit.delete(unit.get(Customer, vip.id))
        unit.delete(unit.get(Customer, plain.id))
    app.settle()
    assert [(each["type"], each["data"]["record_id"]) for each in messages(shop)] == [
        ("customer.created", str(vip.id)), ("customer.deleted", str(vip.id))
    ]  # fmt: skip


def test_what_could_never_work_is_refused_when_it_is_saved(app: TestApp, shop: Receiver):
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("url", {"url": "ftp://example.com"}),
        ("url", {"url": "https://u:p@example.com"}),
        ("events", {"events": []}),
        ("events", {"events": ["custmer.created"]}),
        ("events", {"events": ["customer.moved"]}),
        ("filter", {"filter": "nmae = 1"}),
        ("filter", {"events": ["customer.*", "task.*"], "filter": 'name = "x"'}),
    ]
    for field, values in wrong:
        with pytest.raises(Invalid) as refused:
            made(app, shop, **values)
        assert {problem.field for problem in refused.value.problems} == {field}


@pytest.fixture
def bob(app: TestApp) -> Any:
    """Somebody who sees his own customers only, and may have webhooks of his own."""
    with app.site.write(app.admin) as unit:
        grants = dict.fromkeys(
            ("customer.read", "customer.create", "customer.update", "customer.delete", "webhook.read",
             "webhook.create", "webhook.update"), "own"
        )  # fmt: skip
        unit.create(Role, {"name": "seller", "grants": grants | {"webhook.update": "all", "webhook.read": "all"}})
    return app.user("Bob", roles=["seller"])


def test_a_webhook_tells_what_its_owner_may_read_at_that_moment(app: TestApp, shop: Receiver, bob: Any):
    made(app, shop, bob, events=["*"])
    his = app.create_customer(actor=bob, name="His")
    others = app.create_customer(name="Canary")
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, others.id), {"note": "canary"})
        unit.delete(unit.get(Customer, others.id))
    with app.site.write(bob) as unit:
        unit.delete(unit.get(Customer, his.id))
    app.settle()
    told = messages(shop)
    assert [each["type"] for each in told if each["type"].startswith("customer.")] == [
        "customer.created", "customer.deleted"
    ]  # fmt: skip
    assert b"anary" not in b"".join(heard.body for heard in shop.heard)


def test_a_right_that_is_gone_when_it_is_tried_again_tells_nothing(clock: Any, app: TestApp, shop: Receiver, bob: Any):
    hook = made(app, shop, bob)
    shop.reply = lambda heard: (500, {}, b"")
    his = app.create_customer(actor=bob, name="His")
    shop.reply = lambda heard: (204, {}, b"")
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, his.id), {"owner_id": str(app.admin.id)})
    clock.forward(minutes=10)
    app.settle()
    assert len(shop.heard) == 1
    assert [row["state"] for row in rows(app, hook)] == ["dropped"]


def test_nobody_makes_a_webhook_speak_for_somebody_else(app: TestApp, shop: Receiver, bob: Any):
    with pytest.raises(Invalid, match="must be you"):
        made(app, shop, bob, owner_id=str(app.admin.id))
    hers = made(app, shop)
    asks: list[Callable[[Any, Webhook], Any]] = [
        lambda unit, hook: unit.update(hook, {"url": "https://evil.example/"}),
        lambda unit, hook: unit.update(hook, {"owner_id": str(bob.id)}),
        asking.rotate,
        asking.send_test,
        asking.send_failed_again,
    ]
    for ask in asks:
        with pytest.raises(Invalid, match="must be you"), app.site.write(bob) as unit:
            ask(unit, unit.get(Webhook, hers.id))
    assert app.api(bob).get(f"/api/v1/webhook/{hers.id}/secret").status_code == 403
    assert secret_of(app, hers) not in Person(app, bob).opens(f"/webhook/{hers.id}")


def test_a_webhook_made_with_a_limited_token_tells_no_more_than_that_token_reads(app: TestApp, shop: Receiver):
    client = app.api(app.admin, scopes=["webhook.*", "task.read"])
    body = {"name": "Narrow", "url": shop.url, "events": ["*"]}
    assert client.post("/api/v1/webhook", json=body).status_code == 201
    app.create_customer(name="Canary")
    with app.site.write(app.admin) as unit:
        from rapport import Task

        unit.create(Task, {"title": "Call"})
    app.settle()
    assert {each["type"].partition(".")[0] for each in messages(shop)} <= {"task", "webhook"}
    assert b"anary" not in b"".join(heard.body for heard in shop.heard)


def test_what_fails_is_tried_again_for_days_with_the_same_id_and_then_given_up(
    clock: Any, app: TestApp, shop: Receiver
):
    hook = made(app, shop)
    shop.reply = lambda heard: (500, {}, b"<b>boom</b>" * 1000)
    began = clock.now
    app.create_customer(name="Ada")
    tries = [clock.now]
    while rows(app, hook)[0]["state"] == "waiting":
        due = dt.datetime.fromisoformat(rows(app, hook)[0]["due_at"])
        before = len(shop.heard)
        clock.now = due - dt.timedelta(seconds=1)
        app.settle()
        assert len(shop.heard) == before, "not before its time"
        clock.now = due
        app.settle()
        tries.append(clock.now)
    assert len(shop.heard) == 10
    assert dt.timedelta(days=3) < clock.now - began < dt.timedelta(days=4)
    assert tries[1] - tries[0] == dt.timedelta(seconds=5)
    assert len({heard.headers["webhook-id"] for heard in shop.heard}) == 1
    assert len({heard.headers["webhook-timestamp"] for heard in shop.heard}) == 10
    dead = rows(app, hook)[0]
    assert (dead["state"], dead["attempts"], dead["status"]) == ("dead", 10, 500)
    assert dead["response"] == ("<b>boom</b>" * 1000)[:2000]

    person = Person(app)
    page = person.opens(f"/webhook/{hook.id}")
    assert "Given up" in page
    assert "<b>boom" not in person.opens(f"/webhook/{hook.id}/messages?state=dead")
    link = re.search(rf"/webhook/{hook.id}/messages/[0-9a-f-]{{36}}", person.page)
    assert link
    assert "&lt;b&gt;boom" in person.opens(link[0])
    shop.reply = lambda heard: (204, {}, b"")
    person.sends(f"{link[0]}/again")
    app.settle()
    assert [row["state"] for row in rows(app, hook)] == ["sent"]
    assert shop.heard[-1].headers["webhook-id"] == shop.heard[0].headers["webhook-id"]


def test_a_receiver_that_asks_for_a_pause_gets_it(clock: Any, app: TestApp, shop: Receiver):
    hook = made(app, shop)
    shop.reply = lambda heard: (429, {"Retry-After": "600"}, b"")
    app.create_customer(name="Ada")
    app.create_customer(name="Bob")
    assert len(shop.heard) == 1, "the other message waits too"
    shop.reply = lambda heard: (204, {}, b"")
    clock.forward(seconds=599)
    app.settle()
    assert len(shop.heard) == 1
    clock.forward(seconds=1)
    app.settle()
    assert [row["state"] for row in rows(app, hook)] == ["sent", "sent"]


def test_a_redirect_is_a_failure_that_says_what_to_do(app: TestApp, shop: Receiver):
    hook = made(app, shop)
    shop.reply = lambda heard: (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"")
    app.create_customer(name="Ada")
    row = rows(app, hook)[0]
    assert (row["state"], row["status"]) == ("waiting", 302)
    assert "redirect" in row["error"]


def test_an_address_inside_the_own_network_is_never_called(app: TestApp, shop: Receiver):
    hook = made(app, shop, url="http://169.254.169.254/latest/meta-data/")
    app.create_customer(name="Ada")
    row = rows(app, hook)[0]
    assert row["status"] is None
    assert "not on the public internet" in row["error"]


@pytest.fixture
def mails(app: TestApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A mail server, and what it was given."""
    from email import message_from_bytes, policy

    from aiosmtpd.controller import Controller

    got: list[Any] = []

    class Keep:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            got.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 OK"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(Keep(), hostname="127.0.0.1", port=port)
    server.start()
    app.site.config = dataclasses.replace(app.site.config, mail_url=f"smtp://127.0.0.1:{port}")
    yield got
    server.stop()


def test_a_receiver_that_is_gone_is_switched_off_and_its_owner_told(app: TestApp, shop: Receiver, mails: list[Any]):
    hook = made(app, shop)
    shop.reply = lambda heard: (410, {}, b"")
    app.create_customer(name="Ada")
    app.create_customer(name="Bob")
    assert len(shop.heard) == 1
    shown = app.client.get(f"/api/v1/webhook/{hook.id}").get_json()
    assert (shown["active"], "410" in shown["stopped_because"]) == (False, True)
    assert [(mail["To"], "switched off" in mail["Subject"]) for mail in mails] == [("ada.admin@example.com", True)]

    # Put right and switched on again, it gets what it missed, also what happened meanwhile.
    shop.reply = lambda heard: (204, {}, b"")
    app.create_customer(name="Eve")
    since = rows(app, hook)[0]["timestamp"]
    answer = app.client.patch(f"/api/v1/webhook/{hook.id}", json={"active": True},
                              headers={"If-Match": f'"{shown["version"]}"'})  # fmt: skip
    assert answer.get_json()["stopped_because"] == ""
    assert app.client.post(f"/api/v1/webhook/{hook.id}/replay", json={"since": since}).status_code == 200
    app.settle()
    assert [each["data"]["record"]["name"] for each in messages(shop)[1:]] == ["Ada", "Bob", "Eve"]
    assert shop.heard[0].headers["webhook-id"] == shop.heard[1].headers["webhook-id"]


def test_what_fails_for_days_is_switched_off(clock: Any, app: TestApp, shop: Receiver, mails: list[Any]):
    hook = made(app, shop)
    shop.reply = lambda heard: (503, {}, b"")
    for day in range(6):
        app.create_customer(name=f"Day {day}")
        assert app.client.get(f"/api/v1/webhook/{hook.id}").get_json()["active"] == (day < 5)
        clock.forward(days=1)
    assert len(mails) == 1
    assert "waiting" not in {row["state"] for row in rows(app, hook)}


def test_while_a_secret_is_changed_both_are_good(clock: Any, app: TestApp, shop: Receiver):
    hook = made(app, shop)
    former = secret_of(app, hook)
    fresh = app.client.post(f"/api/v1/webhook/{hook.id}/rotate", json={}).get_json()["secret"]
    assert fresh not in {former, ""}
    # The reference library looks at its own clock.
    clock.now = dt.datetime.now(dt.UTC)
    app.create_customer(name="Ada")
    for secret in (former, fresh):
        Reference(secret).verify(shop.heard[0].body, shop.heard[0].headers)
    clock.forward(days=1, seconds=1)
    app.create_customer(name="Bob")
    assert len(shop.heard[0].headers["webhook-signature"].split()) == 2
    assert len(shop.heard[1].headers["webhook-signature"].split()) == 1


def test_a_test_shows_at_once_what_comes_of_it(app: TestApp, shop: Receiver):
    hook = made(app, shop)
    person = Person(app)
    person.opens(f"/webhook/{hook.id}")
    person.sends(f"/webhook/{hook.id}/do/test")
    app.settle()
    assert messages(shop)[0]["type"] == "webhook.test"
    page = person.opens(f"/webhook/{hook.id}")
    assert "webhook.test" in page
    assert "Sent" in page
    assert secret_of(app, hook) in page


def test_what_is_asked_for_twice_with_a_key_is_sent_once(app: TestApp, shop: Receiver):
    hook = made(app, shop).id
    url, key = f"/api/v1/webhook/{hook}/test", {"Idempotency-Key": "try it"}
    first, again = (app.client.post(url, json={}, headers=key) for _ in range(2))
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(app.client.get(f"/api/v1/webhook/{hook}/messages").get_json()["items"]) == 1


def test_messages_come_page_by_page(app: TestApp, shop: Receiver):
    hook = made(app, shop)
    for number in range(5):
        app.create_customer(name=f"Number {number}")
    seen, cursor = [], ""
    while True:
        page = app.client.get(f"/api/v1/webhook/{hook.id}/messages?limit=2&cursor={cursor}").get_json()
        seen += [item["id"] for item in page["items"]]
        if not (cursor := page["next"]):
            break
    assert len(seen) == len(set(seen)) == 5
    assert app.client.get(f"/api/v1/webhook/{hook.id}/messages?cursor=x").status_code == 400
    assert app.client.get(f"/api/v1/webhook/{hook.id}/messages?state=x").status_code == 400


def test_the_work_of_telling_does_not_grow_with_the_receivers_that_are_not_asked(app: TestApp, shop: Receiver):
    """Of many webhooks, those that want nothing of a change cost no query of their own."""
    for number in range(30):
        made(app, shop, name=f"Other {number}", events=["task.*"])
    made(app, shop)
    with app.queries() as sent:
        app.create_customer(name="Ada")
    assert len(sent) < 40
    assert len(shop.heard) == 1


def test_among_many_receivers_a_bad_one_delays_nobody(make_app: Callable[..., Any]):
    """With threads as in a real process: a drip, a 500, a 429, a redirect and a closed port among fifteen good ones."""
    import threading
    import time

    from rapport.builtin.webhooks import sending

    with ExitStack() as stack:
        good = [stack.enter_context(receiver()) for _ in range(15)]
        bad = [stack.enter_context(receiver()) for _ in range(4)]
        release = threading.Event()

        def slow(heard: Heard) -> tuple[int, dict[str, str], bytes]:
            release.wait(20)
            return 200, {}, b""

        bad[0].reply = slow
        bad[1].reply = lambda heard: (500, {}, b"")
        bad[2].reply = lambda heard: (429, {"Retry-After": "60"}, b"")
        bad[3].reply = lambda heard: (302, {"Location": good[0].url}, b"")
        app = stack.enter_context(make_app(outbound_allow=[each.at for each in (*bad, *good)]))
        app.site.config = dataclasses.replace(app.site.config, testing=False)
        for number, each in enumerate((*bad, *good)):
            made(app, each, name=f"Receiver {number}")
        began = time.monotonic()
        for number in range(3):
            app.create_customer(name=f"Number {number}")
        while any(len(each.heard) < 3 for each in good) and time.monotonic() - began < 10:
            app.settle()
            time.sleep(0.02)
        assert [len(each.heard) for each in good] == [3] * 15
        assert time.monotonic() - began < 8
        assert [len(bad[0].heard), len(bad[2].heard)] == [1, 1], "they are left alone meanwhile"
        release.set()
        all_free = threading.Barrier(sending.THREADS)  # nobody is at work any more when the site is closed
        for thread in [sending._pool.submit(all_free.wait, 20) for _ in range(sending.THREADS)]:
            thread.result()
    tally("D19", "good receivers among bad ones", tried=45, delayed=0)


def test_what_is_long_past_is_forgotten(clock: Any, app: TestApp, shop: Receiver):
    hook = made(app, shop)
    app.create_customer(name="Ada")
    clock.forward(days=31)
    app.create_customer(name="Bob")
    app.settle()
    assert len(rows(app, hook)) == 1


def test_without_webhooks_nothing_is_asked(app: TestApp):
    from rapport.builtin.webhooks.fanout import wanted_entities

    assert set(wanted_entities(app.site)) == set()
    app.create_customer(name="Ada")
    with app.site.read(system("test")) as reader:
        assert reader.count(Webhook) == (0, True)
