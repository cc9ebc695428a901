"""Records over the API: made, read, listed, changed, put away, and never overwritten unseen."""

from __future__ import annotations

import json
import threading
from typing import Any


def test_a_customer_is_made_read_changed_archived_and_deleted(app):
    client = app.client
    made = client.post("/api/v1/customer", json={"name": "Ada Lovelace", "tags": ["vip"]})
    assert made.status_code == 201
    assert made.headers["ETag"] == '"1"'
    address = made.headers["Location"]
    assert client.get(address).get_json() == made.get_json()

    changed = client.patch(address, json={"tags": ["vip", "poet"]}, headers={"If-Match": '"1"'})
    assert changed.get_json()["tags"] == ["vip", "poet"]
    assert changed.headers["ETag"] == '"2"'

    assert client.post(f"{address}/archive").get_json()["archived_at"]
    assert client.get("/api/v1/customer").get_json()["items"] == []
    assert len(client.get("/api/v1/customer?archived=true").get_json()["items"]) == 1
    restored = client.post(f"{address}/restore", headers={"If-Match": '"3"'})
    assert restored.get_json()["archived_at"] is None

    assert client.delete(address, headers={"If-Match": restored.headers["ETag"]}).status_code == 204
    assert client.get(address).status_code == 404


def test_an_unchanged_record_is_not_sent_again(app):
    ada = app.create_customer(name="Ada")
    client, address = app.client, f"/api/v1/customer/{ada.id}"
    tag = client.get(address).headers["ETag"]
    again = client.get(address, headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    client.patch(address, json={"name": "Ada L."}, headers={"If-Match": tag})
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 200


def test_a_change_names_the_version_it_is_based_on(app, state):
    ada = app.create_customer(name="Ada")
    client, address = app.client, f"/api/v1/customer/{ada.id}"
    before = state()
    for method in (client.patch, client.delete):
        assert method(address, json={"name": "Eve"}).status_code == 428
        assert method(address, json={"name": "Eve"}, headers={"If-Match": "*"}).status_code == 428
        stale = method(address, json={"name": "Eve"}, headers={"If-Match": '"7"'})
        assert stale.status_code == 412
        assert stale.get_json()["current"]["name"] == "Ada"
        assert stale.headers["ETag"] == '"1"'
    for verb in ("archive", "restore"):
        assert client.post(f"{address}/{verb}", headers={"If-Match": '"7"'}).status_code == 412
    assert state() == before


def test_of_many_writers_each_either_wins_or_is_told(app):
    ada = app.create_customer(name="Ada")
    answers: list[int] = []

    def write(number: int) -> None:
        client = clients[number]
        for turn in range(5):
            tag = client.get(address).headers["ETag"]
            answer = client.patch(address, json={"note": f"{number}.{turn}"}, headers={"If-Match": tag})
            answers.append(answer.status_code)

    address, clients = f"/api/v1/customer/{ada.id}", [app.client for _ in range(4)]
    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 412}
    assert len(answers) == 20
    assert app.client.get(address).get_json()["version"] == 1 + answers.count(200)


def test_a_list_is_read_page_by_page(app):
    for number in range(7):
        app.create_customer(name=f"Customer {number}", tags=["even"] if number % 2 == 0 else [])
    client, seen, cursor = app.client, [], None
    while True:
        query = {"sort": "-name", "limit": 3, "fields": "name"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/customer", query_string=query).get_json()
        assert all(set(item) == {"name"} for item in page["items"])
        seen += [item["name"][-1] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert "".join(seen) == "6543210"
    even = client.get("/api/v1/customer", query_string={"filter": 'tags has "even"', "count": "true"}).get_json()
    assert (even["count"], even["count_exact"]) == (4, True)
    found = client.get("/api/v1/customer?q=customer+3").get_json()["items"]
    assert [item["name"] for item in found] == ["Customer 3"]


def test_a_page_of_fifty_is_one_query_and_so_is_one_record(app, statements):
    for number in range(60):
        ada = app.create_customer(name=f"Customer {number}")
    client = app.client
    client.get("/api/v1/me")  # the actor is remembered for a second
    with statements() as seen:
        client.get(f"/api/v1/customer/{ada.id}")
    assert len(seen) == 1
    with statements() as seen:
        assert len(client.get("/api/v1/customer?sort=name").get_json()["items"]) == 50
    assert len(seen) == 1
    with statements() as few:
        client.get("/api/v1/customer?limit=2")
    assert len(few) == 1


def test_writing_one_record_costs_few_statements_and_no_more_beside_many(app, statements):
    client = app.client
    client.get("/api/v1/me")

    def cost(act: Any) -> int:
        with statements() as seen:
            assert act().status_code < 300
        return len(seen)

    first = cost(lambda: client.post("/api/v1/customer", json={"name": "First"}))
    for number in range(30):
        ada = app.create_customer(name=f"Customer {number}")
    client.get("/api/v1/me")
    assert cost(lambda: client.post("/api/v1/customer", json={"name": "Last"})) == first <= 6
    address = f"/api/v1/customer/{ada.id}"
    assert cost(lambda: client.patch(address, json={"note": "n"}, headers={"If-Match": '"1"'})) <= 4


def test_values_come_as_they_are_stored(app):
    client = app.client
    ada = client.post(
        "/api/v1/customer",
        json={"name": "Ada", "address": {"city": "London", "country": "GB"}, "note": "ٱلسَّلَامُ\n𝒜"},
    ).get_json()
    assert ada["address"] == {"city": "London", "country": "GB"}
    assert ada["note"] == "ٱلسَّلَامُ\n𝒜"
    assert ada["created_at"].endswith("Z")
    task = client.post("/api/v1/task", json={"title": "Call", "due_on": "2026-11-30", "customer_id": ada["id"]})
    assert task.get_json()["due_on"] == "2026-11-30"
    assert task.get_json()["owner_id"] == str(app.admin.id)


def test_a_client_without_network_makes_the_id_itself(app):
    id_ = "01a208c7-24d0-7f76-bfc1-f585ff87b894"
    client = app.client
    assert client.post("/api/v1/customer", json={"id": id_, "name": "Ada"}).get_json()["id"] == id_
    assert client.post("/api/v1/customer", json={"id": id_, "name": "Ada"}).status_code == 409


def test_the_feed_tells_what_happened_since(app):
    client = app.client
    position = client.get("/api/v1/changes").get_json()["next"]
    made = client.post("/api/v1/customer", json={"name": "Ada"}).get_json()
    client.patch(f"/api/v1/customer/{made['id']}", json={"name": "Ada L."}, headers={"If-Match": '"1"'})
    client.delete(f"/api/v1/customer/{made['id']}", headers={"If-Match": '"2"'})
    feed = client.get(f"/api/v1/changes?after={position}&entity=customer").get_json()
    assert [item["action"] for item in feed["items"]] == ["created", "updated", "deleted"]
    assert feed["items"][1]["changes"] == {"name": ["Ada", "Ada L."]}
    assert feed["items"][1]["by"] == "Ada Admin"
    after = client.get(f"/api/v1/changes?after={feed['next']}").get_json()
    assert (after["items"], after["next"], after["more"]) == ([], feed["next"], False)


def test_a_follower_of_the_feed_misses_nothing_while_others_write(app):
    clients = [app.client for _ in range(4)]
    follower, seen, done = app.client, [], threading.Event()
    position = follower.get("/api/v1/changes").get_json()["next"]

    def write(client: Any) -> None:
        for _ in range(8):
            assert client.post("/api/v1/customer", json={"name": "Ada"}).status_code == 201

    def follow() -> None:
        after = position
        while True:
            last = done.is_set()
            feed = follower.get(f"/api/v1/changes?after={after}&entity=customer").get_json()
            seen.extend(item["id"] for item in feed["items"])
            after = feed["next"]
            if last and not feed["more"]:
                return

    threads = [threading.Thread(target=write, args=(client,)) for client in clients]
    following = threading.Thread(target=follow)
    for thread in (following, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    following.join()
    assert len(seen) == len(set(seen)) == 32


def test_search_finds_records_of_every_kind(app):
    app.create_customer(name="Ada Lovelace")
    app.create_customer(name="Charles Babbage")
    items = app.client.get("/api/v1/search?q=lovelace").get_json()["items"]
    assert [(item["entity"], item["title"]) for item in items] == [("customer", "Ada Lovelace")]
    assert app.client.get(items[0]["url"]).get_json()["name"] == "Ada Lovelace"


def test_duplicates_are_found_and_made_one(app, fields_of):
    client = app.client
    ada = client.post("/api/v1/customer", json={"name": "Ada Lovelace", "email": "ada@example.com"}).get_json()
    twin = client.post("/api/v1/customer", json={"name": "A. Lovelace", "email": "ada@example.com"}).get_json()
    found = client.post("/api/v1/customer/duplicates", json={"name": "x", "email": "ada@example.com"}).get_json()
    assert {item["id"] for item in found["items"]} == {ada["id"], twin["id"]}
    client.post("/api/v1/customer", json={"name": "Zoé", "phone": "+33 1 42 68 53 00"})
    found = client.post("/api/v1/customer/duplicates", json={"name": "x", "phone": "+33 (0)1-42-68-53-00"}).get_json()
    assert [item["name"] for item in found["items"]] == ["Zoé"]
    wrong = client.post("/api/v1/customer/duplicates", json={"name": [[]], "nmae": "x"})
    assert (wrong.status_code, fields_of(wrong)) == (422, ["name", "nmae"])
    merged = client.post(f"/api/v1/customer/{ada['id']}/merge", json={"absorbed": [twin["id"]]})
    assert merged.status_code == 200, merged.get_json()
    assert client.get(f"/api/v1/customer/{twin['id']}").get_json()["archived_at"]


# Bulk ----------------------------------------------------------------------------------------------------------------


def ndjson(*operations: Any) -> dict[str, Any]:
    return {"data": "\n".join(json.dumps(each) for each in operations), "content_type": "application/x-ndjson"}


def outcomes(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]


def test_every_line_of_a_bulk_request_has_its_own_answer(app):
    ada, eve = app.create_customer(name="Ada"), app.create_customer(name="Eve")
    answer = app.client.post(
        "/api/v1/customer/bulk",
        **ndjson(
            {"op": "create", "values": {"name": "New"}},
            {"op": "update", "id": str(ada.id), "version": 1, "values": {"name": "Ada L."}},
            {"op": "update", "id": str(ada.id), "version": 1, "values": {"name": "Too late"}},
            {"op": "update", "id": str(ada.id), "values": {"name": "Unseen"}},
            {"op": "create", "values": {"nmae": "Typo"}},
            {"op": "fly"},
            {"op": "archive", "id": str(eve.id)},
            {"op": "restore", "id": str(eve.id), "version": 2},
            {"op": "delete", "id": str(eve.id), "version": 3},
            {"op": "delete", "id": "nobody", "version": 3},
        ),
    )
    lines = outcomes(answer)
    assert answer.status_code == 200
    assert [line["line"] for line in lines] == list(range(1, 11))
    assert [line["status"] for line in lines] == [201, 200, 412, 428, 422, 422, 200, 200, 204, 404]
    assert "Did you mean 'name'?" in lines[4]["problem"]["detail"]
    names = {item["name"] for item in app.client.get("/api/v1/customer").get_json()["items"]}
    assert names == {"New", "Ada L."}


def test_an_atomic_bulk_request_is_done_whole_or_not_at_all(app, state):
    ada, client = app.create_customer(name="Ada"), app.client
    before = state()
    operations = [
        {"op": "create", "values": {"name": "New"}},
        {"op": "update", "id": str(ada.id), "version": 9, "values": {"name": "Stale"}},
        {"op": "create", "values": {"name": "Newer"}},
    ]
    answer = client.post("/api/v1/customer/bulk?atomic=true", **ndjson(*operations))
    assert answer.status_code == 422
    assert [line["status"] for line in outcomes(answer)] == [424, 412, 424]
    assert state() == before
    operations[1]["version"] = 1
    answer = client.post("/api/v1/customer/bulk?atomic=true", **ndjson(*operations))
    assert [line["status"] for line in outcomes(answer)] == [201, 200, 201]


def test_lines_that_are_no_json_are_refused_one_by_one(app):
    body = '{"op": "create", "values": {"name": "Ada"}}\n{"op": \n[1]\n\n{"op":"create"}\n' + "[" * 5000
    answer = app.client.post("/api/v1/customer/bulk", data=body, content_type="application/x-ndjson")
    assert [line["status"] for line in outcomes(answer)] == [201, 400, 400, 422, 400]


# Idempotency ---------------------------------------------------------------------------------------------------------


def test_a_post_sent_again_with_its_key_has_its_effect_once(app, fields_of):
    client, headers = app.client, {"Idempotency-Key": "order-1"}
    first = client.post("/api/v1/customer", json={"name": "Ada"}, headers=headers)
    again = client.post("/api/v1/customer", json={"name": "Ada"}, headers=headers)
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    other = client.post("/api/v1/customer", json={"name": "Eve"}, headers=headers)
    assert (other.status_code, other.get_json()["type"]) == (422, "/api/#key-reused")
    # Somebody else's key is another key.
    bob = app.api(app.user("Bob", roles=["manager"]))
    assert (
        bob.post("/api/v1/customer", json={"name": "Ada"}, headers=headers).get_json()["id"] != first.get_json()["id"]
    )
    assert client.get("/api/v1/customer?count=true").get_json()["count"] == 2


def test_a_refused_post_leaves_its_key_free(app):
    client, headers = app.client, {"Idempotency-Key": "k"}
    assert client.post("/api/v1/customer", json={"name": ""}, headers=headers).status_code == 422
    assert client.post("/api/v1/customer", json={"name": "Ada"}, headers=headers).status_code == 201


def test_the_same_key_from_eight_sides_at_once_has_one_effect(app):
    clients, answers = [app.client for _ in range(8)], []
    start = threading.Barrier(8)

    def send(client: Any) -> None:
        start.wait()
        answers.append(client.post("/api/v1/customer", json={"name": "Ada"}, headers={"Idempotency-Key": "once"}))

    threads = [threading.Thread(target=send, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.status_code, answer.data) for answer in answers} == {(201, answers[0].data)}
    assert app.client.get("/api/v1/customer?count=true").get_json()["count"] == 1


def test_a_bulk_request_sent_again_repeats_nothing(app):
    client, headers = app.client, {"Idempotency-Key": "b"}
    body = ndjson({"op": "create", "values": {"name": "Ada"}}, {"op": "create", "values": {"name": ""}})
    once = outcomes(client.post("/api/v1/customer/bulk", **body, headers=headers))
    again = outcomes(client.post("/api/v1/customer/bulk", **body, headers=headers))
    assert [line["status"] for line in once] == [201, 422]
    assert again == [{**once[0], "replayed": True}, once[1]]
    assert client.get("/api/v1/customer?count=true").get_json()["count"] == 1
