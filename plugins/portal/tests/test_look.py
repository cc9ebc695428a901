"""The portal looks as the business does, can be read whatever colour it has, and keeps what customers choose."""

from __future__ import annotations

import itertools

import pytest
from rapport_portal.look import CONTRAST, DARK, LIGHT, contrast, css
from sqlalchemy import select

from rapport import Consent, Customer, Purpose
from rapport.entities import table_of

from .test_visits import decide, signed_in

pytestmark = pytest.mark.plugins("portal")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>'


def test_name_picture_colour_and_welcome_are_the_businesss_own(app):
    decide(app, name="Blue Pools", logo="mark.svg", accent="#ffe600", welcome="Come in.", welcome_fr="Entrez.")
    (app.site.config.home / "portal").mkdir()
    (app.site.config.home / "portal" / "mark.svg").write_text(SVG)
    visitor = app.flask.test_client()
    page = visitor.get("/portal/sign-in").get_data(as_text=True)
    assert "Blue Pools" in page
    assert "Come in." in page
    french = visitor.get("/portal/sign-in", headers={"Accept-Language": "fr"}).get_data(as_text=True)
    assert "Entrez." in french
    picture = visitor.get("/portal/logo/mark.svg", buffered=True)
    assert picture.get_data(as_text=True) == SVG
    assert "sandbox" in picture.headers["Content-Security-Policy"]
    assert "--accent: #" in visitor.get("/portal/look.css").get_data(as_text=True)
    for name in ("../rapport.toml", "nowhere.svg", "mark.html", "/etc/hosts.svg"):
        decide(app, logo=name)
        assert visitor.get(f"/portal/logo/{name}").status_code == 404, name
        assert visitor.get("/portal/logo/mark.svg").status_code == 404  # only what is the picture now
    decide(app, name="", logo="", accent="no colour", welcome="", welcome_fr="")
    assert visitor.get("/portal/look.css").data == b""
    assert "Blue Pools" not in visitor.get("/portal/sign-in").get_data(as_text=True)


def test_text_in_any_colour_can_be_read_in_light_and_dark():
    def parts(text: str) -> tuple[float, ...]:
        return tuple(byte / 255 for byte in bytes.fromhex(text.strip("# ")))

    for red, green, blue in itertools.product((0, 64, 128, 192, 255), repeat=3):
        sheet = css(f"#{red:02x}{green:02x}{blue:02x}")
        said = dict(line.strip(" ;").split(": ", 1) for line in sheet.splitlines() if ": " in line)
        light, dark = said["--accent-text"].removeprefix("light-dark(").removesuffix(")").split(",")
        for one, ground in (
            (said["--accent"], "#ffffff"),
            (said["--accent-hover"], "#ffffff"),
            (light, LIGHT),
            (dark, DARK),
        ):
            assert contrast(parts(one), parts(ground)) >= CONTRAST, (sheet, one)  # type: ignore[arg-type]
    assert "--accent: #00695c" in css("#00695c")  # what can be read is left as it is


def test_a_customer_chooses_what_they_hear_of_in_the_portal(app):
    ada, ben = (app.create_customer(name=name, email=f"{name}@example.org") for name in ("Ada", "Ben"))
    with app.site.write(app.admin) as unit:
        unit.create(Purpose, {"name": "pool_tips", "title": "Tips for your pool", "basis": "consent"})
    browser = signed_in(app, ada)
    page = browser.get("/portal/preferences").get_data(as_text=True)
    keys = [part.split('"', 1)[0] for part in page.split('name="wanted" value="')[1:]]
    if not keys:  # without a channel there is nothing to choose
        assert "There is nothing to choose" in page
        return
    assert browser.post("/portal/preferences", data={"wanted": keys}).status_code == 302
    with app.site.read(app.admin) as reader:
        said = reader.all(Consent, Consent.state == "granted")
    assert {(each.customer_id, each.proof.partition(",")[0]) for each in said} == {(ada.id, "portal")}
    assert ben.id not in {each.customer_id for each in said}


def test_an_address_must_be_one_of_its_country(app):
    ada = app.create_customer(name="Ada", email="ada@example.org")
    browser = signed_in(app, ada)

    def typed(**parts: str):
        sent = {"email": "ada@example.org", "phone": "", **{f"address.{part}": text for part, text in parts.items()}}
        return browser.post("/portal/details", data=sent)

    wrong = typed(street="Hauptstr. 1", city="Berlin", postcode="1011", country="Allemagne")
    assert wrong.status_code == 422
    assert "they look like 10115" in wrong.get_data(as_text=True)
    assert "spelling" in typed(city="Berlin", country="Germoney").get_data(as_text=True)
    assert typed(street="Hauptstr. 1", city="Berlin", postcode="10115", country="Allemagne").status_code == 302
    with app.site.db.read() as connection:
        kept = connection.scalar(select(table_of(Customer).c.address).where(table_of(Customer).c.id == ada.id))
    assert kept["country"] == "DE"
    assert "Germany" in browser.get("/portal/").get_data(as_text=True)
    assert typed(city="Gaborone", postcode="whatever", country="BW").status_code == 302
    assert typed(city="Anywhere", postcode="99").status_code == 302  # of no country, anything goes
