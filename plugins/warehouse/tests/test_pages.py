"""The page of figures: a plain form asks, the table has its totals and leads to the records, reports are saved."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re

import pytest
from rapport_sales import Opportunity
from rapport_warehouse import refresh
from rapport_warehouse.charts import chart_of
from rapport_warehouse.entities import Report
from rapport_warehouse.question import Question

from rapport import Customer, stages_of, system
from rapport.access import Role

pytestmark = pytest.mark.plugins("warehouse", "sales")


@pytest.fixture
def business(app):
    """Two customers in two countries, three deals won and one lost."""
    with app.site.read(app.admin) as reader:
        stages = {each.kind: each.id for each in stages_of(reader.session, "sales.opportunity")}
    with app.site.write(app.admin) as unit:
        for name, country, amounts in (("Ada & <b>Sons</b>", "FR", (100, 200)), ("Bob", "DE", (400,))):
            customer = unit.create(Customer, {"name": name, "kind": "organisation", "address": {"country": country}})
            for at, amount in enumerate(amounts):
                unit.create(Opportunity, {
                    "name": f"{country} {amount}", "customer_id": customer.id, "amount": amount, "currency": "EUR",
                    "stage_id": stages["won"], "started_on": dt.date(2026, 1, 2),
                    "closed_on": dt.date(2026, 3 + at, 10),
                })  # fmt: skip
    refresh(app.site)
    return app


def page_of(app, query="", actor=None, status=200):
    answer = app.browser(actor).get(f"/warehouse?{query}")
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def table_of(page):
    """The figures of the page, row by row, as text."""
    body = re.search(r'w-table">(.*?)</table>', page, re.S)[1]
    rows = re.findall(r"<tr.*?</tr>", body, re.S)
    return [
        [
            re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", each)).strip()
            for each in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)
        ]
        for row in rows
    ]


def test_before_it_is_filled_the_page_says_so_and_a_button_fills_it(app):
    page = page_of(app)
    assert "Nothing was counted yet" in page
    browser = app.browser()
    token = re.search(r'name="csrf_token" value="([^"]+)"', page_of_browser(browser))[1]
    answer = browser.post("/warehouse/refresh", data={"csrf_token": token})
    assert answer.status_code == 302
    waiting = browser.get(answer.location).get_data(as_text=True)
    again = re.search(r'hx-get="([^"]+)"', waiting)[1].replace("&amp;", "&")
    app.settle()
    assert browser.get(again, headers={"HX-Request": "true"}).headers["HX-Redirect"].startswith("/warehouse")
    assert "What do you want to know?" in page_of_browser(browser)


def page_of_browser(browser):
    return browser.get("/warehouse").get_data(as_text=True)


def test_a_plain_form_asks_and_the_table_has_its_totals(business):
    page = page_of(business, "measure=sales.won_amount&at.core.country=rows&at.date.month=columns")
    assert table_of(page) == [
        ["", "Mar 2026", "Apr 2026", "Total"], ["Country", "Amount won", "Amount won", "Amount won"],
        ["Germany", "€400.00", "€0.00", "€400.00"], ["France", "€100.00", "€200.00", "€300.00"],
        ["Total", "€500.00", "€200.00", "€700.00"],
    ]  # fmt: skip


def test_two_row_dimensions_have_subtotals_and_say_a_heading_once(business):
    page = page_of(business, "measure=sales.won&at.core.country=rows&at.core.customer=rows&order=core.country")
    rows = table_of(page)
    assert [row[0] for row in rows[1:]] == ["France", "Together: France", "Germany", "Together: Germany", "Total"]
    assert "<b>Sons" not in page


def test_a_figure_leads_to_its_records_and_they_to_their_pages(business):
    page = page_of(business, "measure=sales.won_amount&at.core.country=rows")
    url = re.search(r'<a href="(/warehouse/records[^"]+r=FR[^"]*)"', page)[1].replace("&amp;", "&")
    listed = business.browser().get(url).get_data(as_text=True)
    assert sorted(re.findall(r'<a href="/sales.opportunity/[^"]+">([^<]+)<', listed)) == ["FR 100", "FR 200"]
    dialog = business.browser().get(url, headers={"HX-Request": "true"}).get_data(as_text=True)
    assert dialog.lstrip().startswith('<div class="r-dialog-head">')


def test_nobody_is_told_of_records_out_of_reach(business):
    grants = {
        "customer.read": "own",
        "sales.opportunity.read": "own",
        "stage.read": "all",
        "warehouse.report.read": "own",
    }
    with business.site.write(system("test")) as unit:
        unit.create(Role, {"name": "narrow", "title": "Narrow", "grants": grants})
    stranger = business.user("Sam Stranger", roles=["narrow"])
    page = page_of(business, "measure=sales.won_amount&at.core.country=rows", stranger)
    assert "€400" not in page
    assert "FR 100" not in business.browser(stranger).get(
        "/warehouse/records?measure=sales.won_amount&m=sales.won_amount"
    ).get_data(as_text=True)


def test_what_is_chosen_in_a_filter_is_let_through_and_found_by_typing(business):
    page = page_of(business, "measure=sales.won&at.core.country=filter&only.core.country=FR")
    assert re.search(r'name="only.core.country"[^>]+value="FR" checked', page)
    assert table_of(page)[-1][-1] == "2"
    found = business.browser().get("/warehouse/members?dimension=core.country&q=germ").get_data(as_text=True)
    assert "Germany" in found
    assert "France" not in found


def test_a_dimension_that_does_not_suit_is_left_out_and_said(business):
    page = page_of(business, "measure=core.new_customers&at.sales.stage=rows&at.nothing.there=rows")
    assert "was left out" in page
    assert page_of(business, "measure=sales.won&period=last+blue+moon", status=422).count("Period: is unknown") == 1


def test_a_question_is_saved_found_by_whom_it_is_for_opened_and_deleted(business):
    boss, other = business.user("Mona Manager", roles=["manager"]), business.user("Mo Member")
    query = "measure=sales.won&at.core.country=rows&chart=bar"
    browser = business.browser(boss)
    form = browser.get(f"/warehouse/reports?{query}").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)[1]
    for name, shared in (("Mine", "me"), ("Ours", "everybody")):
        answer = browser.post(f"/warehouse/reports?{query}", data={"name": name, "shared": shared, "csrf_token": token})
        opened = browser.get(answer.location)
        assert opened.status_code == 302
        assert "sales.won" in opened.location
    page = browser.get("/warehouse").get_data(as_text=True)
    assert re.findall(r'href="/warehouse/reports/[^"]+"[^>]*>.*?<span>(\w+)</span>', page) == ["Mine", "Ours"]
    theirs = page_of(business, "", other)
    assert re.findall(r'href="/warehouse/reports/[^"]+"[^>]*>.*?<span>(\w+)</span>', theirs) == ["Ours"]
    with business.site.read(boss) as reader:
        mine = next(each for each in reader.all(Report) if each.name == "Mine")
    assert business.browser(other).get(f"/warehouse/reports/{mine.id}").status_code == 404
    assert browser.post(f"/warehouse/reports/{mine.id}/delete", data={"csrf_token": token}).status_code == 302
    assert browser.get(f"/warehouse/reports/{mine.id}").status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_report_for_a_team_is_found_by_the_team_and_saved_again_it_stays_one(app):
    people = app.actors()
    owner = app.browser(people.member)
    query = "measure=sales.won&at.core.country=rows"
    saved = app.submit(owner, f"/warehouse/reports?{query}", {"name": "Ours", "shared": "team", "team_id": ""})
    assert "whose report is it?" in saved.get_data(as_text=True)
    (team,) = people.member.team_ids
    form = {"name": "Ours", "shared": "team", "team_id": str(team)}
    address = app.submit(owner, f"/warehouse/reports?{query}", form).location
    opened = {who.name: app.browser(who).get(address).status_code for who in (people.viewer, people.stranger)}
    assert opened == {"Vera Viewer": 302, "Sam Stranger": 404}
    number = address.rpartition("/")[2]
    assert app.submit(app.browser(people.viewer), f"{address}/delete", {}).status_code in {403, 404}
    for anew in ("", "true"):
        again = f"/warehouse/reports?{query}&chart=pie&report={number}"
        app.submit(owner, again, {**form, "name": f"Ours {anew}", "anew": anew})
    with app.site.read(app.admin) as reader:
        kept = {each.name: (str(each.id) == number, "chart=pie" in each.query) for each in reader.all(Report)}
    assert kept == {"Ours": (True, True), "Ours true": (False, True)}


def test_the_answer_is_taken_away_for_a_spreadsheet(business):
    query = "measure=sales.won_amount&measure=sales.won&at.core.country=rows"
    answer = business.browser().get(f"/warehouse/export?{query}&format=csv")
    rows = list(csv.reader(io.StringIO(answer.get_data().decode("utf-8-sig"))))
    assert rows[0] == ["Country", "Amount won (EUR)", "Opportunities won"]
    assert [row[0] for row in rows[1:]] == ["Germany", "France"]
    assert [float(row[1]) for row in rows[1:]] == [400, 300]
    answer.close()
    with business.browser().get(f"/warehouse/export?{query}&format=xlsx") as book:
        assert book.data[:2] == b"PK"


def test_an_answer_becomes_a_chart(business):
    from rapport_warehouse import answer

    with business.site.read(business.admin) as reader:
        found = answer(reader, Question(("sales.won_amount",), rows=("core.country",), columns=("date.month",)))
        one = answer(reader, Question(("sales.won_amount", "sales.win_rate"), rows=("core.country",)))
    stacked = chart_of(found, "stacked")
    assert stacked["x"] == ["Germany", "France"]
    assert [(each["name"], each["data"], each["stack"]) for each in stacked["series"]] == [
        ("Mar 2026", [400.0, 100.0], "all"), ("Apr 2026", [0.0, 200.0], "all"),
    ]  # fmt: skip
    assert chart_of(one)["series"][1]["axis"] == "right"
    assert chart_of(one, "scatter")["series"][0]["data"][0] == [400.0, 1.0, "Germany"]
    page = page_of(business, "measure=sales.won_amount&at.core.country=rows&chart=pie")
    assert 'data-chart="' in page
