"""Who may do what over the API: nothing without a token, no more than its user, no more than its scopes."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from rapport.access import User
from rapport.access.service import create_token
from rapport.entities import utcnow


@pytest.fixture
def sales(app):
    """Two teams; Bob works with his own and his team's customers, and there is one he must not know of."""
    north, south = app.team("North"), app.team("South")
    with app.site.write(app.admin) as unit:
        from rapport.access import Role

        unit.create(Role, {"name": "seller", "grants": {
            "customer.read": "team", "customer.create": "all", "customer.update": "own", "customer.delete": "own",
            "interaction.read": "all", "interaction.create": "all", "task.read": "own", "contact_point.read": "all",
            "contact_point.create": "all", "user.read": "all", "team.read": "all",
        }})  # fmt: skip
    bob = app.user("Bob", roles=["seller"], teams=[north])
    eve = app.user("Eve", roles=["seller"], teams=[south])
    return {
        "bob": bob,
        "eve": eve,
        "mine": app.create_customer(actor=bob, name="Mine", team_id=str(north.id)),
        "ours": app.create_customer(name="Ours", owner_id=str(app.admin.id), team_id=str(north.id)),
        "theirs": app.create_customer(
            actor=eve, name="Canary", email="canary@example.com", note="canary", tags=["canary"], team_id=str(south.id)
        ),
    }


def test_without_a_token_there_is_nothing(app):
    anonymous = app.flask.test_client()
    for rule in app.flask.url_map.iter_rules():
        if not rule.rule.startswith("/api/v1/"):
            continue
        path = rule.rule.replace("<id>", "00000000-0000-7000-8000-000000000000")
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            answer = anonymous.open(path, method=method)
            assert answer.status_code == 401, path
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.content_type == "application/problem+json"


def test_every_policy_of_a_route_is_the_permission_of_its_entity(app):
    from rapport.builtin.api.routes import all_routes
    from rapport.http import policy_of

    for route in all_routes(app.site):
        assert policy_of(app.flask.view_functions[f"api.{route.name}"]) == route.needs
        if route.needs:
            assert route.needs.startswith(f"{route.entity}.")


def test_a_cookie_opens_nothing(app):
    browser = app.browser()
    assert browser.get("/api/v1/me").status_code == 401
    assert browser.post("/api/v1/customer", json={"name": "Ada"}).status_code == 401


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic YTpi", "Bearer x", "Bearer rpt_wrong", "Bearer rpt_\xe9", "bearer  "]
)
def test_what_is_no_token_is_refused(app, header):
    answer = app.flask.test_client().get("/api/v1/me", headers={"Authorization": header})
    assert answer.status_code == 401


def test_an_expired_or_revoked_token_or_one_of_somebody_who_left_opens_nothing(app):
    bob = app.user("Bob")
    with app.site.write(app.admin) as unit:
        expired = create_token(unit, unit.get(User, bob.id), name="old", expires_at=utcnow() - dt.timedelta(seconds=1))
    client = app.flask.test_client()
    assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {expired}"}).status_code == 401

    theirs, admin = app.api(bob), app.client
    assert theirs.get("/api/v1/me").get_json()["name"] == "Bob"
    token = next(
        item
        for item in admin.get("/api/v1/token").get_json()["items"]
        if item["user_id"] == str(bob.id) and item["name"] == "test"
    )
    assert admin.post(f"/api/v1/token/{token['id']}/archive").status_code == 200
    assert theirs.get("/api/v1/me").status_code == 401

    theirs = app.api(bob)
    tag = admin.get(f"/api/v1/user/{bob.id}").headers["ETag"]
    assert admin.patch(f"/api/v1/user/{bob.id}", json={"active": False}, headers={"If-Match": tag}).status_code == 200
    assert theirs.get("/api/v1/me").status_code == 401


def test_a_token_does_no_more_than_its_scopes(app):
    ada = app.create_customer(name="Ada")
    reading = app.api(app.admin, scopes=["customer.read"])
    assert reading.get(f"/api/v1/customer/{ada.id}").status_code == 200
    assert reading.patch(f"/api/v1/customer/{ada.id}", json={}, headers={"If-Match": '"1"'}).status_code == 403
    refused = reading.get("/api/v1/task")
    assert refused.status_code == 403
    assert "your token's scopes leave out 'task.read'" in refused.get_json()["detail"]
    assert reading.post("/api/v1/token", json={"name": "wider"}).status_code == 403
    assert set(reading.get("/api/v1/me").get_json()["permissions"]) == {"customer.read"}
    assert {item["entity"] for item in reading.get("/api/v1/changes").get_json()["items"]} == {"customer"}
    refused = reading.post("/api/v1/customer/bulk", data='{"op":"create","values":{"name":"x"}}\n',
                           content_type="application/x-ndjson")  # fmt: skip
    assert json.loads(refused.data)["status"] == 403


def test_one_makes_tokens_for_oneself_and_sees_the_secret_once(app, fields_of):
    bob = app.user("Bob")
    client = app.api(bob)
    made = client.post("/api/v1/token", json={"name": "sync", "scopes": ["customer.read"]})
    assert made.status_code == 201
    assert made.get_json()["user_id"] == str(bob.id)
    secret = made.get_json()["token"]
    assert app.flask.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    for wrong, field in (
        ({"name": "x", "user_id": str(app.admin.id)}, "user_id"), ({"name": ""}, "name"),
        ({"name": "x", "scopes": ["customer.raed"]}, "scopes"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ):  # fmt: skip
        answer = client.post("/api/v1/token", json=wrong)
        assert (answer.status_code, fields_of(answer)) == (422, [field])
    assert secret not in app.client.get("/api/v1/token").get_data(as_text=True)
    assert "hash" not in app.client.get("/api/v1/token").get_data(as_text=True)
    assert app.client.patch(f"/api/v1/token/{made.get_json()['id']}", json={}).status_code == 405


def test_the_use_of_a_token_is_noted_but_not_each_time(app, statements):
    client = app.client
    client.get("/api/v1/me").close()
    items = client.get("/api/v1/token").get_json()["items"]
    assert any(item["last_used_at"] for item in items)


def test_nobody_gives_themselves_rights(app, state):
    """Whatever a role says, accounts and roles are changed by administrators only."""
    from rapport.access import Role

    actions = ("read", "create", "update", "delete")
    accounts = ("user", "role", "user_role", "membership", "token")
    with app.site.write(app.admin) as unit:
        unit.create(
            Role, {"name": "sly", "grants": {f"{name}.{action}": "all" for name in accounts for action in actions}}
        )
    bob = app.user("Bob", roles=["sly"])
    client = app.api(bob)
    before = state()
    tag = {"If-Match": client.get(f"/api/v1/user/{bob.id}").headers["ETag"]}
    held = client.get("/api/v1/user_role").get_json()["items"][0]
    for answer in (
        client.post("/api/v1/user_role", json={"user_id": str(bob.id), "role": "admin"}),
        client.patch(f"/api/v1/user_role/{held['id']}", json={"role": "admin"}, headers={"If-Match": '"1"'}),
        client.post("/api/v1/membership", json={"user_id": str(bob.id), "team_id": str(bob.id)}),
        client.patch(f"/api/v1/user/{app.admin.id}", json={"email": "bob@evil.example"}, headers=tag),
        client.post("/api/v1/role", json={"name": "x", "grants": {"customer.read": "all"}}),
        client.patch(f"/api/v1/user/{bob.id}", json={"is_admin": True}, headers=tag),
    ):
        assert answer.status_code == 403
    assert state() == before
    for field in ("is_admin", "password_hash", "stamp", "totp_secret", "grants", "version"):
        admin = app.client
        answer = admin.patch(f"/api/v1/user/{bob.id}", json={field: "x"}, headers=tag)
        assert answer.status_code == 422
    text = client.get("/api/v1/user").get_data(as_text=True)
    assert not any(secret in text for secret in ("password", "argon2", "stamp", "totp"))


def test_the_last_administrator_stays(app):
    client = app.client
    held = client.get("/api/v1/user_role", query_string={"filter": 'role = "admin"'}).get_json()["items"][0]
    assert client.delete(f"/api/v1/user_role/{held['id']}", headers={"If-Match": '"1"'}).status_code == 409
    assert client.post(f"/api/v1/user_role/{held['id']}/archive").status_code == 409
    tag = client.get(f"/api/v1/user/{app.admin.id}").headers["ETag"]
    path = f"/api/v1/user/{app.admin.id}"
    assert client.patch(path, json={"active": False}, headers={"If-Match": tag}).status_code == 409
    assert client.delete(path, headers={"If-Match": tag}).status_code == 409
    assert client.get("/api/v1/me").status_code == 200


# Rows ----------------------------------------------------------------------------------------------------------------


def names(answer: Any) -> list[str]:
    return sorted(item["name"] for item in answer.get_json()["items"])


def test_rows_out_of_reach_stay_hidden_through_every_door(app, sales):
    bob, canary = app.api(sales["bob"]), sales["theirs"]
    app.client.post("/api/v1/interaction", json={"customer_id": str(canary.id), "subject": "about the canary"})
    app.client.post(
        "/api/v1/contact_point", json={"customer_id": str(canary.id), "kind": "email", "value": "canary2@example.com"}
    )
    path = f"/api/v1/customer/{canary.id}"
    ghost = path[:-4] + ("0000" if path[-4:] != "0000" else "1111")
    listed = bob.get("/api/v1/customer?count=true&sort=name")
    assert names(listed) == ["Mine", "Ours"]
    assert listed.get_json()["count"] == 2
    for query in ("q=canary", "filter=name+%3D+%22Canary%22", "filter=tags+has+%22canary%22", "archived=true&q=canary"):
        assert names(bob.get(f"/api/v1/customer?{query}")) == []
    assert bob.get("/api/v1/search?q=canary").get_json()["items"] == []
    for door in (
        bob.get("/api/v1/interaction?count=true"), bob.get("/api/v1/contact_point?count=true"),
        bob.get("/api/v1/interaction", query_string={"filter": 'customer_id.name contains "Canary"'}),
        bob.get("/api/v1/interaction", query_string={"filter": 'customer.name contains "Canary"'}),
    ):  # fmt: skip
        assert door.status_code == 400 or door.get_json()["items"] == [], door.get_json()
    # Hidden and missing look the same.
    tag = {"If-Match": '"1"'}
    for one, other in (
        (bob.get(path), bob.get(ghost)),
        (bob.patch(path, json={"name": "x"}, headers=tag), bob.patch(ghost, json={"name": "x"}, headers=tag)),
        (bob.delete(path, headers=tag), bob.delete(ghost, headers=tag)),
        (bob.post(f"{path}/archive"), bob.post(f"{ghost}/archive")),
    ):
        assert one.status_code == other.status_code == 404
        assert one.data.replace(path[-36:].encode(), b"") == other.data.replace(ghost[-36:].encode(), b"")
    # Nor can anything be hung on it.
    answer = bob.post("/api/v1/interaction", json={"customer_id": str(canary.id), "subject": "x"})
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "customer_id")
    found = bob.post("/api/v1/customer/duplicates", json={"name": "Canary", "email": "canary@example.com"})
    assert found.get_json()["items"] == []
    assert (
        bob.post(f"/api/v1/customer/{sales['mine'].id}/merge", json={"absorbed": [str(canary.id)]}).status_code == 404
    )
    feed = bob.get("/api/v1/changes?limit=200").get_data(as_text=True)
    assert "anary" not in feed
    assert "Ours" in feed


def test_a_deletion_is_told_to_those_who_saw_the_record(app, sales):
    eve, bob = app.api(sales["eve"]), app.api(sales["bob"])
    path = f"/api/v1/customer/{sales['theirs'].id}"
    assert eve.delete(path, headers={"If-Match": '"1"'}).status_code == 204
    assert "deleted" in [
        item["action"] for item in eve.get("/api/v1/changes?limit=200&entity=customer").get_json()["items"]
    ]
    assert "deleted" not in bob.get("/api/v1/changes?limit=200&entity=customer").get_data(as_text=True)


def test_what_may_be_read_may_not_always_be_changed(app, sales, state):
    bob, before = app.api(sales["bob"]), None
    before = state()
    path = f"/api/v1/customer/{sales['ours'].id}"
    for answer in (
        bob.patch(path, json={"name": "x"}, headers={"If-Match": '"1"'}),
        bob.delete(path, headers={"If-Match": '"1"'}),
        bob.post(f"{path}/archive"),
    ):
        assert answer.status_code == 403
    assert state() == before
    mine = f"/api/v1/customer/{sales['mine'].id}"
    assert bob.patch(mine, json={"name": "Still mine"}, headers={"If-Match": '"1"'}).status_code == 200


def test_two_worlds_that_differ_only_in_hidden_rows_answer_alike(app, sales):
    bob = app.api(sales["bob"])
    requests = [
        "/api/v1/customer", "/api/v1/customer?count=true", "/api/v1/customer?sort=-name&limit=1",
        "/api/v1/customer?q=canary",
        "/api/v1/search?q=mine", "/api/v1/interaction?count=true", "/api/v1/contact_point",
        "/api/v1/task?count=true", "/api/v1/me",
    ]  # fmt: skip

    def world() -> list[bytes]:
        return [bob.get(path).data for path in requests]

    before = world()
    eve = app.api(sales["eve"])
    for number in range(5):
        made = eve.post("/api/v1/customer", json={"name": f"Mine {number}", "email": "mine@example.com"}).get_json()
        eve.post("/api/v1/interaction", json={"customer_id": made["id"], "subject": "mine"})
    assert world() == before
