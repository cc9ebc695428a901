"""Calls that come in, told as stories through events, the desk and the wallboard, on SQLite and on PostgreSQL."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import http.server
import json
import threading
from typing import Any

from rapport_callcenter import Agent, Call, Queue, Site, Spell, WrapUp, simulator
from sqlalchemy import select

from rapport import Interaction

EVENTS = "/api/v1/callcenter.event"
NORTH, SOUTH = "+442079460001", "+442079460002"


def agent(centre: Any, name: str, extension: str, site: Any = None, *skills: str) -> Any:
    """An agent who has just become available, and their browser."""
    actor = centre.app.user(name)
    centre.make(Agent, user_id=str(actor.id), extension=extension, skills=list(skills),
                site_id=str(site.id) if site is not None else None)  # fmt: skip
    browser = centre.app.browser(actor)
    state(centre, browser, "available")
    return browser


def state(centre: Any, browser: Any, to: str, reason: str = "") -> None:
    assert centre.app.submit(browser, "/callcenter/desk/state", {"state": to, "reason": reason}).status_code == 303


def happens(centre: Any, kind: str, call: str, **more: Any) -> None:
    answer = centre.app.client.post(EVENTS, json={"kind": kind, "call": call, **more})
    assert answer.status_code == 201, answer.get_json()
    centre.app.settle()


def desk(browser: Any) -> str:
    return str(browser.get("/callcenter/desk").get_data(as_text=True))


def call_of(centre: Any, name: str) -> Call:
    with centre.app.site.read(centre.app.admin) as reader:
        return reader.session.scalars(select(Call).where(Call.external_id == name)).one()


def test_a_call_rings_at_the_right_agent_and_shows_who_it_is(centre: Any, clock: Any):
    app = centre.app
    north, south = centre.make(Site, name="North"), centre.make(Site, name="South")
    centre.make(Queue, name="Help", number=NORTH, site_id=str(north.id), skill="pools", overflow_after=30)
    ada, bob = centre.people("Ada", "Bob")
    centre.make(type(ada), name="Ada's daughter", phone=ada.phone)
    mo = agent(centre, "Mo Member", "101", north, "pools")
    clock.forward(seconds=60)
    noa = agent(centre, "Noa", "102", north, "pools")
    far = agent(centre, "Farah", "201", south, "pools")
    agent(centre, "Otto Other", "103", north, "boats")

    # Mo has been idle the longest. Two people share the number, and Mo says which of them it is.
    happens(centre, "ringing", "c1", number=ada.phone, dialled=NORTH)
    page = desk(mo)
    assert "Ada&#39;s daughter" in page or "Ada’s daughter" in page or "daughter" in page
    assert "Pick up" in page
    assert "Pick up" not in desk(noa)
    assert mo.get("/callcenter/desk/now?seen=x").headers["HX-Redirect"] == "/callcenter/desk"
    one = call_of(centre, "c1")
    clock.forward(seconds=8)
    happens(centre, "answered", "c1", extension="101")
    app.submit(mo, f"/callcenter/desk/{one.id}/who", {"customer_id": ada.id})

    # The next one is Bob, whom everybody knows by his number: his page pops up at Noa, who is next.
    happens(centre, "ringing", "c2", number=bob.phone, dialled=NORTH)
    assert "Bob" in desk(noa)
    app.submit(noa, f"/callcenter/desk/{call_of(centre, 'c2').id}/pick-up", {})

    # Nobody is left in the north: the third waits, and after half a minute the south helps. Nobody knows the number.
    happens(centre, "ringing", "c3", number="+33170189000", dialled=NORTH)
    assert "Pick up" not in desk(far)
    clock.forward(seconds=31)
    app.settle()
    assert "Pick up" in desk(far)
    third = call_of(centre, "c3")
    app.submit(far, f"/callcenter/desk/{third.id}/pick-up", {})
    app.submit(far, f"/callcenter/desk/{third.id}/who", {"name": "Cleo New"})
    assert "Cleo New" in desk(far)

    # A code is needed to be done with a call; the complaint is ticked by its code.
    clock.forward(seconds=120)
    happens(centre, "hung_up", "c1")
    codes = {each.name: each.id for each in _all(centre, WrapUp)}
    assert app.submit(mo, f"/callcenter/desk/{one.id}/wrap-up", {"note": "x"}).status_code == 422
    form = {"wrap_up_id": codes["Complaint"], "refund": "true", "note": "The robot squeaks", "resolved": "true"}
    assert app.submit(mo, f"/callcenter/desk/{one.id}/wrap-up", form).status_code == 303
    kept = call_of(centre, "c1")
    assert (kept.waited, kept.talked, kept.complaint, kept.refund, kept.quality) == (8, 151, True, True, False)
    with app.site.read(app.admin) as reader:
        told = reader.all(Interaction, Interaction.customer_id == ada.id)
        assert [(each.kind, each.direction, each.outcome, each.body) for each in told] == [
            ("call", "in", "Complaint", "The robot squeaks")]  # fmt: skip
        spells = reader.session.scalars(
            select(Spell)
            .join(Agent, Agent.id == Spell.agent_id)
            .where(Agent.extension == "101")
            .order_by(Spell.began_at)
        ).all()
        assert [(each.state, each.seconds) for each in spells] == [
            ("available", 68), ("busy", 151), ("wrap_up", 0), ("available", None)]  # fmt: skip
    assert app.submit(noa, f"/callcenter/desk/{one.id}/who", {"name": "Not mine"}).status_code == 404


def test_who_gives_up_is_abandoned_and_who_does_not_pick_up_gets_a_pause(centre: Any, clock: Any):
    app = centre.app
    centre.make(Queue, name="Help", number=NORTH)
    mo = agent(centre, "Mo Member", "101")
    happens(centre, "ringing", "c1", number="+33170189000")
    clock.forward(seconds=21)
    app.settle()
    assert "Did not pick up" in desk(mo)
    page = app.browser().get("/callcenter/wallboard").get_data(as_text=True)
    assert "0:21" in page
    clock.forward(seconds=19)
    happens(centre, "hung_up", "c1")
    happens(centre, "hung_up", "c1")
    kept = call_of(centre, "c1")
    assert (kept.status, kept.waited, kept.answered_at) == ("abandoned", 40, None)

    # The telephone system's words may come in any order, and late: the times they carry are what counts.
    state(centre, mo, "available")
    at = clock.now
    happens(centre, "hung_up", "c2", number="+33170189001", at=(at + dt.timedelta(seconds=50)).isoformat())
    happens(centre, "ringing", "c2", number="+33170189001", at=at.isoformat())
    clock.forward(seconds=60)
    happens(centre, "ringing", "c3", number="+33170189002")
    happens(centre, "answered", "c3", extension="101")
    state_of = {each.name: each.state for each in _all(centre, Agent)}
    assert state_of == {"Mo Member": "busy"}
    clock.forward(seconds=30)
    happens(centre, "hung_up", "c3")
    done = call_of(centre, "c3")
    assert (
        app.submit(mo, f"/callcenter/desk/{done.id}/wrap-up", {"wrap_up_id": _all(centre, WrapUp)[0].id}).status_code
        == 303
    )
    page = app.browser().get("/callcenter/wallboard/now").get_data(as_text=True)
    assert "33&nbsp;%" in page
    spent = app.browser().get("/reports/callcenter.agents").get_data(as_text=True)
    assert "Did not pick up" in spent
    report = app.browser().get("/reports/callcenter.incoming?by=hour").get_data(as_text=True)
    assert "66.67" in report


def test_the_simulator_plays_the_same_morning_for_the_same_seed(centre: Any, clock: Any):
    app = centre.app
    centre.make(Queue, name="Help", number=NORTH)
    centre.make(Queue, name="Orders", number=SOUTH, skill="orders")
    centre.people(*(f"Customer {number}" for number in range(5)))
    for number, skills in enumerate(((), ("orders",))):
        actor = app.user(f"Agent {number}")
        centre.make(Agent, user_id=str(actor.id), extension=f"sim-{number}", skills=list(skills))
    assert app.submit(app.browser(), "/callcenter/wallboard/simulate", {}).status_code == 303
    for _step in range(50):
        clock.forward(seconds=24)
        app.settle()
    calls = _all(centre, Call)
    assert len(calls) == len(simulator.plan(1, 10, 4.0))
    assert {each.status for each in calls} == {"ended", "abandoned"}
    assert all(each.wrap_up_id for each in calls if each.status == "ended")
    assert simulator.plan(1, 10, 4.0) == simulator.plan(1, 10, 4.0) != simulator.plan(2, 10, 4.0)
    for page in ("/callcenter/wallboard", "/callcenter/desk", "/reports/callcenter.incoming?by=queue"):
        assert app.browser().get(page).status_code == 200


def test_a_telephone_system_is_asked_by_a_signed_request_and_answers_by_an_inbound_hook(make_app: Any, clock: Any):
    from plugins.callcenter.tests.conftest import Centre

    heard: list[tuple[dict[str, str], bytes]] = []

    class Exchange(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            """Be quiet."""

    clock.now = clock.now.replace(hour=10, minute=0)
    server = http.server.HTTPServer(("127.0.0.1", 0), Exchange)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"127.0.0.1:{server.server_port}"
    key = b"a secret of thirty-two bytes ..."
    secret = "whsec_" + base64.b64encode(key).decode()
    try:
        with make_app(plugins=["callcenter"], outbound_allow=(place,)) as app:
            centre = Centre(app)
            with app.site.db.write() as connection:
                for name, value in (("telephony", "webhook"), ("webhook_url", f"http://{place}/dial"),
                                    ("webhook_secret", secret)):  # fmt: skip
                    app.site.settings.set(connection, f"callcenter.{name}", value)
            (ada,) = centre.people("Ada")
            spring = centre.call_list()
            browser = agent(centre, "Mo Member", "101")
            app.submit(browser, "/callcenter/calling/next", {"list_id": spring.id})
            one = str(centre.entries(spring)["Ada"].id)
            app.submit(browser, f"/callcenter/calling/{one}/dial", {})
            app.settle()
            headers, body = heard[0]
            said = json.loads(body)
            assert said["type"] == "call.dial"
            assert (said["data"]["number"], said["data"]["extension"]) == (ada.phone, "101")
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
            assert headers["webhook-signature"] == f"v1,{digest}"

            # It tells that Ada picked up: by the core's inbound hook, whose signature is checked there.
            hook = app.client.post("/api/v1/inbound_hook", json={
                "name": "Exchange", "makes": "callcenter.event",
                "mapping": "kind = type\ncall = data.call\nextension = data.extension",
            }).get_json()  # fmt: skip
            known = app.client.get(f"/api/v1/inbound_hook/{hook['id']}/secret").get_json()
            clock.forward(seconds=7)
            words = json.dumps(
                {"type": "answered", "data": {"call": said["data"]["call"], "extension": "101"}}
            ).encode()
            path = known["url"].removeprefix("http://localhost")
            assert app.flask.test_client().post(path, data=words).status_code == 401
            stamp = str(int(clock.now.timestamp()))
            raw = base64.b64decode(known["secret"].removeprefix("whsec_"))
            digest = base64.b64encode(hmac.digest(raw, f"m1.{stamp}.".encode() + words, hashlib.sha256)).decode()
            proof = {"webhook-id": "m1", "webhook-timestamp": stamp, "webhook-signature": f"v1,{digest}"}
            assert app.flask.test_client().post(path, data=words, headers=proof).status_code == 202
            app.settle()
            (call,) = _all(centre, Call)
            assert (call.status, call.waited) == ("talking", 7)
            app.submit(browser, f"/callcenter/calling/{one}/finish",
                       {"disposition_id": centre.disposition("Interested").id})  # fmt: skip
            app.settle()
            assert json.loads(heard[1][1])["type"] == "call.hang_up"
    finally:
        server.shutdown()
        server.server_close()


def _all(centre: Any, entity: Any) -> list[Any]:
    with centre.app.site.read(centre.app.admin) as reader:
        return list(reader.all(entity))
