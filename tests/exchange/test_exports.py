"""Taking lists out: what one may see, whole, and in a form that comes back unaltered."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest

from rapport import Customer
from rapport.access import Role, system
from rapport.builtin.exchange import imports
from rapport.builtin.exchange.exports import export
from rapport.builtin.exchange.readers import open_table
from rapport.errors import Forbidden, Invalid

AWKWARD = ["=1+1", "+49 170 123", "'quoted", "-5", 'a,b\n"c"', "\u200fعربی", "王伟", "@cmd"]


def exported(app, format="csv", actor=None, **asked):
    target = io.BytesIO()
    with app.site.read(actor or app.admin) as reader:
        export(reader, asked.pop("entity", Customer), target, format, **asked)
    return target.getvalue()


def rows(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def test_a_list_that_went_out_comes_back_unaltered(make_app, tmp_path):
    with make_app(plugins=["sales"]) as app:
        firm = app.create_customer(name="Engines Ltd", kind="organisation")
        for number, name in enumerate(AWKWARD):
            app.create_customer(
                name=name, tags=["vip", "a b"], address={"street": "1 Rd;\nbehind", "city": "Paris"},
                email=f"p{number}@example.com", organisation_id=firm.id, note="Line\nline", language="fa",
            )  # fmt: skip
        before = exported(app)
        with app.site.write(app.admin) as unit:
            for customer in unit.reader.all(Customer):
                unit.update(customer, {"name": f"{customer.name} changed", "address": {}, "tags": [], "note": ""})
        run = imports.start(app.site, app.admin, "customer", before, "customers.csv")
        assert run.match_by == ["id"]
        done = imports.run(app.site, app.admin, run.id)
        assert (done.updated, done.refused, done.created) == (9, 0, 0), imports.problems(app.site, app.admin, run.id)
        after = exported(app)
        left_out = ("version", "updated_at")
        plain = [
            [{k: v for k, v in row.items() if k not in left_out} for row in rows(data)] for data in (before, after)
        ]
        assert plain[0] == plain[1]


def test_a_spreadsheet_for_people_speaks_in_words_and_no_cell_is_a_formula(app, tmp_path):
    darya = app.user("Darya", language="fa")
    firm = app.create_customer(actor=darya, name="Engines Ltd", kind="organisation")
    app.create_customer(actor=darya, name="=HYPERLINK(1)", organisation_id=firm.id, address={"city": "Paris"})
    book = tmp_path / "customers.xlsx"
    book.write_bytes(exported(app, "xlsx", sort="name", for_people=True))
    with zipfile.ZipFile(book) as parts:
        assert not any(b"<f>" in parts.read(name) for name in parts.namelist())
    first, second = (row.values for row in open_table(book, book.name).rows())
    assert {"Name", "Kind", "Organisation", "Address: City", "Id"} <= set(first)
    assert "Version" not in first
    assert (first["Name"], first["Organisation"], first["Kind"], first["Owner"], first["Address: City"]) == (
        "=HYPERLINK(1)", "Engines Ltd", "Person", "Darya", "Paris",
    )  # fmt: skip
    assert second["Kind"] == "Organisation"


def test_json_lines_keep_every_value_as_it_is(app):
    app.create_customer(name="Ada", tags=["vip"], address={"city": "Paris"})
    (line,) = exported(app, "ndjson").decode().splitlines()
    ada = json.loads(line)
    assert (ada["name"], ada["tags"], ada["address"]) == ("Ada", ["vip"], {"city": "Paris"})
    assert ada["created_at"].endswith("Z")


def test_filter_order_and_fields_are_those_of_the_list(app):
    for number in range(450):  # more than two pages
        app_values = {"name": f"Customer {number:03}", "tags": ["even"] if number % 2 == 0 else []}
        with app.site.write(app.admin) as unit:
            unit.create(Customer, app_values)
    found = rows(exported(app, filter='tags has "even"', sort="-name", fields="name"))
    assert [row["name"] for row in found] == [f"Customer {number:03}" for number in range(448, -1, -2)]
    assert list(found[0]) == ["name"]
    with pytest.raises(Invalid, match="names 'nmae'"):
        exported(app, fields="nmae")
    with pytest.raises(Invalid, match="must be one of csv, xlsx, ndjson"):
        exported(app, "pdf")


def test_nobody_takes_out_what_they_may_not_see(app):
    with app.site.write(system("test")) as unit:
        grants = {"customer.read": "own", "customer.create": "all", "customer.export": "all"}
        unit.create(Role, {"name": "scout", "title": "Scout", "grants": grants})
    scout, viewer = app.user("Scout", roles=["scout"]), app.user("Vera", roles=["viewer"])
    app.create_customer(name="Not theirs")
    app.create_customer(actor=scout, name="Theirs")
    assert [row["name"] for row in rows(exported(app, actor=scout))] == ["Theirs"]
    with pytest.raises(Forbidden):
        exported(app, actor=viewer)
    assert app.api(viewer).get("/api/v1/customer/export").status_code == 403
    assert app.browser(viewer).get("/customer/export?format=csv").status_code == 403


def test_the_api_gives_the_file(app):
    app.create_customer(name="Ada")
    app.create_customer(name="Bob")
    asked = {"filter": 'name = "Ada"', "fields": "name,email"}
    with app.client.get("/api/v1/customer/export", query_string=asked) as answer:
        assert answer.content_type == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=customer-")
        assert rows(answer.get_data()) == [{"name": "Ada", "email": ""}]
    assert app.client.get("/api/v1/customer/export?format=pdf").get_json()["errors"][0]["field"] == "format"
    assert app.client.get("/api/v1/customer/export?filter=nonsense").status_code == 400


def test_the_list_page_gives_what_it_shows(app):
    app.create_customer(name="Ada", tags=["vip"])
    app.create_customer(name="Bob")
    browser = app.browser()
    page = browser.get('/customer?filter=tags+has+"vip"&columns=name,tags').get_data(as_text=True)
    assert "/customer/export?filter=" in page
    with browser.get('/customer/export?format=csv&filter=tags+has+"vip"&columns=name,tags') as answer:
        found = rows(answer.get_data())
    assert [(row["Name"], row["Tags"]) for row in found] == [("Ada", "vip")]
