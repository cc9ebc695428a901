"""Every kind of field goes through every door: whoever declares one gets all of Rapport for it."""

from __future__ import annotations

import io
import json
import re
import uuid

import pytest

from rapport.builtin.exchange import imports
from rapport.entities.fields import KINDS
from tests.web.conftest import Person

DECLARED = """
import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Mapped

from rapport import UUID, Entity, field, hookimpl, ref


class Thing(Entity, name="KINDS.thing", title="Thing", display="text_",
            roles={"member": "read create update delete import export"}):
    \"\"\"One field of each kind.\"\"\"

    text_: Mapped[str] = field(label="A text", searchable=True, in_list=True)
    longtext_: Mapped[str] = field(label="A longtext", kind="longtext", default="", searchable=True, in_list=True)
    integer_: Mapped[int | None] = field(label="A integer", in_list=True)
    decimal_: Mapped[Decimal | None] = field(label="A decimal", kind="decimal", in_list=True)
    money_: Mapped[Decimal | None] = field(label="A money", kind="money", currency="currency", in_list=True)
    currency: Mapped[str] = field(label="Currency", default="EUR")
    date_: Mapped[dt.date | None] = field(label="A date", kind="date", in_list=True)
    instant_: Mapped[dt.datetime | None] = field(label="A instant", kind="instant", in_list=True)
    choice_: Mapped[str] = field(label="A choice", choices=["red", "green"], default="red", in_list=True)
    flag_: Mapped[bool] = field(label="A flag", default=False, in_list=True)
    reference_id: Mapped[UUID | None] = ref("customer", label="A reference", in_list=True)
    tags_: Mapped[tuple[str, ...]] = field(label="A tags", kind="tags", searchable=True, in_list=True)
    email_: Mapped[str] = field(label="A email", kind="email", default="", searchable=True, in_list=True)
    phone_: Mapped[str] = field(label="A phone", kind="phone", default="", searchable=True, in_list=True)
    url_: Mapped[str] = field(label="A url", kind="url", default="", searchable=True, in_list=True)
    address_: Mapped[dict[str, Any] | None] = field(label="A address", kind="address", in_list=True)
    file_id: Mapped[UUID | None] = field(label="A file", kind="file", in_list=True)


@hookimpl
def register_entities():
    return [Thing]
"""

LEFT_OUT = {"id", "json"}
"""Rapport's own: no form asks for them."""
VALUES = {
    "text_": "Zoé’s thing", "longtext_": "two\nlines", "integer_": 42, "decimal_": "1.25", "money_": "1234.50",
    "currency": "CHF", "date_": "2026-11-23", "instant_": "2026-11-23T14:00:00Z", "choice_": "green", "flag_": True,
    "tags_": ["vip", "press"], "email_": "zoe@example.com", "phone_": "+33142685300",
    "url_": "https://example.com/things", "address_": {"street": "1 Engine Rd", "city": "London"},
}  # fmt: skip
SHOWN = ("Zoé’s thing", "42", "1.25", "1,234.50", "2026", "Green", "vip", "zoe@example.com", "Ada", "London")
FOUND_BY = ("zoe's", "lines", "press", "zoe@example", "0142685300", "things")


@pytest.fixture
def things(make_app, plugin_on_disk):
    """An app with the plugin, and the file and the customer that a thing points at."""
    name = f"kinds{uuid.uuid4().hex[:6]}"  # a process defines an entity once
    plugin_on_disk(name, DECLARED.replace("KINDS", name))
    with make_app(plugins=[name]) as app:
        yield app, f"{name}.thing"


def test_a_field_of_each_kind_has_schema_rest_list_form_search_export_and_import(things):
    app, thing = things
    client, meta = app.client, app.site.entities[thing].meta
    declared = {f.kind: f for f in meta.fields.values() if f.name in {*VALUES, "reference_id", "file_id"}}
    assert set(declared) == set(KINDS) - LEFT_OUT, "a kind of field that this story leaves out"

    schema = client.get("/api/openapi.json").get_json()["components"]["schemas"][thing]["properties"]
    for f in declared.values():
        assert schema[f.name]["title"] == f.label

    ada = app.create_customer(name="Ada")
    upload = client.post("/api/v1/file", data={"file": (io.BytesIO(b"hello"), "hello.txt"), "entity": thing})
    assert upload.status_code == 201, upload.get_data(as_text=True)
    values = {**VALUES, "reference_id": str(ada.id), "file_id": upload.get_json()["id"]}
    made = client.post(f"/api/v1/{thing}", json=values)
    assert made.status_code == 201, made.get_data(as_text=True)
    assert {name: made.get_json()[name] for name in values} == values
    address = made.headers["Location"]
    again = client.patch(address, json=values, headers={"If-Match": made.headers["ETag"]})
    assert again.headers["ETag"] == made.headers["ETag"], "what is the same is no change"

    person = Person(app)
    for page in (person.opens(f"/{thing}"), person.opens(f"/{thing}/{made.get_json()['id']}")):
        text = re.sub(r"<[^>]+>", " ", page)
        assert [each for each in SHOWN if each not in text] == []
    form = person.opens(f"/{thing}/{made.get_json()['id']}/edit")
    for f in declared.values():
        assert re.search(rf'name="{f.name}[".]', form), f.name

    app.settle()
    for words in FOUND_BY:
        found = client.get("/api/v1/search", query_string={"q": words, "entity": thing}).get_json()["items"]
        assert [item["title"] for item in found] == ["Zoé’s thing"], words

    del values["file_id"]  # a list holds no files; what a record holds stays with it
    for format_ in ("ndjson", "csv", "xlsx"):
        with client.get(f"/api/v1/{thing}/export", query_string={"format": format_}) as answer:
            exported = answer.get_data()
        if format_ == "ndjson":
            row = json.loads(exported)
            assert {name: row[name] for name in values} == values
        tag = client.get(address).headers["ETag"]
        changed = client.patch(address, json=OTHER, headers={"If-Match": tag})
        assert changed.status_code == 200, changed.get_data(as_text=True)
        run = imports.start(app.site, app.admin, thing, exported, f"things.{format_}")
        run = imports.decide(app.site, app.admin, run.id, match_by=["id"])
        run = imports.run(app.site, app.admin, run.id)
        assert (run.updated, run.refused) == (1, 0), imports.problems(app.site, app.admin, run.id)
        back = client.get(address).get_json()
        assert {name: back[name] for name in values} == values, format_
        assert back["file_id"] == made.get_json()["file_id"]
        imports.undo(app.site, app.admin, run.id)
        before = client.get(address).get_json()
        assert {name: before[name] for name in OTHER} == OTHER
        client.patch(address, json=values, headers={"If-Match": f'"{before["version"]}"'})


OTHER = {
    "text_": "Other", "longtext_": "", "integer_": 1, "decimal_": "2.00", "money_": "3.00", "currency": "EUR",
    "date_": "2020-01-01", "instant_": "2020-01-01T00:00:00Z", "choice_": "red", "flag_": False, "tags_": ["x"],
    "email_": "", "phone_": "", "url_": "", "address_": {"city": "Paris"}, "reference_id": None,
}  # fmt: skip
