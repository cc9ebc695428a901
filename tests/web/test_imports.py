"""Importing on the pages: bring a list, see what would happen, settle what is unclear, and take it back."""

from __future__ import annotations

import re

import pytest

from rapport import Customer
from rapport.builtin.exchange import imports

from .conftest import Person

LIST = """Name,E-mail,Organisation,Shoe size
Ada,ada@example.com,Engines Ltd.,38
Bob,bob at home,,43
Zoé,zoe@example.com,Nowhere,39
"""


def names(app):
    with app.site.read(app.admin) as reader:
        return {customer.name for customer in reader.all(Customer)}


def choices(page, select):
    inner = re.search(rf'<select[^>]*name="{select}"[^>]*>(.*?)</select>', page, re.DOTALL)[1]
    return re.findall(r'<option value="([^"]*)"', inner)


def test_a_list_is_brought_in_settled_and_taken_back(app):
    app.create_customer(name="Engines Ltd", kind="organisation")
    mia = Person(app, app.user("Mia"))
    page = mia.uploads(LIST)
    assert mia.url == "/import/1"
    assert '<option value="email" selected>' in page
    assert "Shoe size" in page
    page = mia.sends("/import/1/columns", do="check", match_by="email", on_match="update", **{
        "map:0": "name", "map:1": "email", "map:2": "organisation_id", "map:3": "", "field:0": "source",
        "value:0": "Fair",
    })  # fmt: skip
    assert "Every row is checked; nothing is changed" in page
    page = mia.waits()
    assert "is not an e-mail address" in page
    assert names(app) == {"Engines Ltd"}
    assert choices(page, "do:0")[:2] == ["", "use:Engines Ltd"]
    assert "create" in choices(page, "do:1")
    mia.sends("/import/1/settle", **{
        "field:0": "organisation_id", "value:0": "Engines Ltd.", "do:0": "use:Engines Ltd",
        "field:1": "organisation_id", "value:1": "Nowhere", "do:1": "create",
    })  # fmt: skip
    page = mia.waits()
    assert "Values that nobody knows" not in page
    mia.sends("/import/1/run")
    page = mia.waits()
    assert "Refused" in page
    assert names(app) == {"Engines Ltd", "Ada", "Zoé", "Nowhere"}
    with mia.browser.get("/import/1/refused.csv") as answer:
        assert "bob at home" in answer.get_data(as_text=True)
    assert "people.csv" in mia.opens("/imports")
    mia.opens("/import/1")
    mia.sends("/import/1/undo")
    mia.waits()
    assert names(app) == {"Engines Ltd"}
    mia.sends("/import/1/forget")
    assert "Nothing was imported yet" in mia.page


def test_a_file_is_read_as_one_says(app):
    ada = Person(app)
    page = ada.uploads("Name;City\nAda;Paris, Texas\n".encode("utf-16"))
    assert choices(page, "map:0")
    ada.sends("/import/1/columns", do="look", delimiter=",", **{"map:0": "name"})
    assert "map:1" in ada.page  # the comma makes two columns, too, of another kind
    assert imports.get(app.site, app.admin, 1).options["delimiter"] == ","


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"", "empty.csv", "There is nothing in the file."),
        (b"%PDF-1.4 ...", "list.pdf", "cannot be read"),
        (b"\x00\x01\x02" * 100, "noise.csv", "cannot be read"),
    ],
)
def test_what_is_no_list_is_refused_with_the_reason(app, data, name, said):
    assert said in Person(app).uploads(data, name=name, status=422)


def test_a_file_that_is_too_large_is_told_on_a_page(app):
    app.flask.config["MAX_CONTENT_LENGTH"] = 1000
    page = Person(app).uploads(b"Name\n" + b"x" * 2000, status=413)
    assert "That is too large: at most" in page
    assert "<h1" in page


def test_decisions_that_do_not_fit_are_said_on_the_page(app):
    ada = Person(app)
    ada.uploads(LIST)
    page = ada.sends("/import/1/columns", 422, do="check", **{"map:0": "name", "map:1": "name"})
    assert "becomes the same field as" in page
    page = ada.sends("/import/1/columns", 422, do="check", **{"map:0": "", "map:1": ""})
    assert "No column is to become a field" in page


def test_only_who_may_import_sees_the_pages_and_nobody_anothers(app):
    ada, mia = Person(app), Person(app, app.user("Mia"))
    ada.uploads(LIST)
    assert "There is no import 1" in mia.opens("/import/1", 404)
    vera = Person(app, app.user("Vera", roles=["viewer"]))
    vera.opens("/import", 403)
    assert "/import?entity=" not in vera.opens("/customer")
    assert "/import?entity=customer" in mia.opens("/customer")


def test_a_running_import_can_be_stopped_and_goes_on(app):
    ada = Person(app)
    ada.uploads("Name\n" + "".join(f"Customer {n}\n" for n in range(20)))
    imports.enqueue(app.site, app.admin, 1, "run")
    assert "The rows are imported" in ada.opens("/import/1")
    with ada.browser.get("/import/1/progress", headers={"HX-Request": "true"}) as answer:
        assert 'hx-get="/import/1/progress"' in answer.get_data(as_text=True)
    ada.sends("/import/1/stop")
    assert "Go on" in ada.page
    ada.sends("/import/1/run")
    ada.waits()
    assert "Every row was imported." in ada.page
    with ada.browser.get("/import/1/progress", headers={"HX-Request": "true"}) as answer:
        assert answer.headers["HX-Redirect"] == "/import/1"
    assert len(names(app)) == 20
