"""Dashboards as people meet them: what is there from the start, who sees which figures, and making one's own."""

from __future__ import annotations

import csv
import io
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from rapport_dashboards import Alert, Card, Dashboard, Target
from rapport_dashboards.boards import Asked, address_of, question_at, shown_cards
from rapport_dashboards.figures import read_card, write
from rapport_dashboards.ready import READY
from rapport_sales import Opportunity
from rapport_warehouse import Question, answer

from rapport import Conflict, Customer, Forbidden, Invalid, NotFound, stages_of
from rapport.access.model import Role
from rapport.builtin.edition import export_edition, read_edition
from rapport.plugins import discover


def test_the_dashboards_of_four_roles_are_there_from_the_start_and_each_role_has_its_own_first(boards: Any) -> None:
    people = boards.app.actors()
    names = [each.name for each in sorted(boards.all(Dashboard), key=lambda each: each.position)]
    assert names == ["Business", "Sales", "Service", "Marketing"]
    firsts = {}
    for actor in (people.admin, people.manager, people.member, people.viewer):
        url = boards.app.browser(actor).get("/dashboards").headers["Location"]
        firsts[actor.name] = next(each.name for each in boards.all(Dashboard) if str(each.id) in url)
    assert list(firsts.values()) == ["Business", "Business", "Sales", "Business"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_with_sample_data_every_card_answers_everybody_and_says_what_the_warehouse_says(make_app: Any) -> None:
    from .conftest import Boards

    with make_app(plugins=["dashboards", "sales", "service", "marketing", "callcenter", "portal"]) as app:
        boards = Boards(app)
        for sample in sorted(app.site.sample_data, key=lambda each: (each.order, each.name)):
            if sample.name not in {"sales", "service"}:
                continue
            with app.site.write(app.admin) as unit:
                sample.load(unit)
            app.settle()
        boards.refresh()
        people, answered = app.actors(), 0
        for actor in (people.manager, people.member, people.viewer):
            with app.site.read(actor) as reader:
                for ready in READY:
                    for card in shown_cards(reader, boards.ready(ready.name)[1]):
                        shown = read_card(reader, card, Asked())
                        assert shown.kind in {"figure", "chart", "table", "list", "panel", "nothing"}, card.title
                        if card.shape == "figure":
                            found = answer(reader, Question.from_json(card.question))
                            said = [each["value"] for each in shown.values if "value" in each]
                            assert said == [cell.value for cell in found.cells.values()], card.title
                            answered += 1
        assert answered > 60
        browser = app.browser(people.manager)
        for ready in READY:
            board, cards = boards.ready(ready.name)
            page = browser.get(f"/dashboards/{board.id}").get_data(as_text=True)
            pieces = re.findall(r'hx-get="(/dashboards/[^"]+/card/[^"]+)"', page)
            assert len(pieces) >= len(cards) - 4, "nearly every module is on"
            for piece in pieces:
                inside = browser.get(piece).get_data(as_text=True)
                assert "could not be shown" not in inside, (piece, inside)
                assert "could not show this" not in inside, (piece, inside)
                (card,) = [each for each in cards if str(each.id) in piece]
                assert browser.get(f"{piece}/file").status_code == (404 if card.shape == "panel" else 200)
        assert _told(boards, people.stranger), "who may read everything is told something"
        with app.site.write(app.admin) as unit:
            grants = {permission: "own" if reach == "all" and permission.endswith(".read") else reach
                      for permission, reach in app.site.grants["member"].items()}  # fmt: skip
            grants |= {"dashboards.dashboard.read": "own", "dashboards.card.read": "all", "purpose.read": "all"}
            unit.create(Role, {"name": "member", "title": "Member", "grants": grants})
        app.site.forget_actors()
        assert _told(boards, people.stranger) == set(), "who may read their own, and has nothing, is told nothing"


def _told(boards: Any, actor: Any) -> set[str]:
    """The ready cards that tell somebody a figure or a record."""
    told = set()
    with boards.app.site.read(boards.app.site.actor(actor.id)) as reader:
        for ready in READY:
            for card in shown_cards(reader, boards.ready(ready.name)[1]):
                if card.shape == "panel":
                    text = re.sub(
                        r"<[^>]*>", " ", boards.page(f"/dashboards/{card.dashboard_id}/card/{card.id}", actor)
                    )
                    if re.search(r"[1-9]", text):
                        told.add(card.title)
                    continue
                shown = read_card(reader, card, Asked())
                if shown.rows or any(each.get("value") for each in shown.values):
                    told.add(card.title)
    return told


def test_a_card_counts_only_what_its_reader_may_see(boards: Any) -> None:
    people = boards.app.actors()
    boards.won(people.member, 100, 200)
    boards.won(people.stranger, 4000)
    boards.refresh()
    limited = boards.app.site.grants
    assert limited  # members read what the role says; here it is told to reach their own only
    card = boards.card(None, "sales.won_amount", period="this year", title="Amount")
    with boards.app.site.write(boards.app.admin) as unit:
        from rapport.access.model import Role

        (role,) = unit.reader.all(Role, Role.name == "member") or (None,)
        grants = {"dashboards.dashboard.read": "own", "dashboards.card.read": "all", "sales.opportunity.read": "own",
                  "customer.read": "all"}  # fmt: skip
        if role is None:
            unit.create(Role, {"name": "member", "title": "Member", "grants": grants})
        else:
            unit.update(role, {"grants": {**role.grants, **grants}})
    boards.app.site.forget_actors()
    assert "€4.3K" in boards.shown(card)
    assert "€300.00" in boards.shown(card, people.member)
    assert "€4K" in boards.shown(card, people.stranger)


def test_what_is_chosen_above_reaches_the_cards_it_suits_and_the_others_say_so(boards: Any) -> None:
    people = boards.app.actors()
    boards.won(people.member, 100, 200, country="FR")
    boards.won(people.member, 7000, country="DE")
    boards.refresh()
    amount = boards.card(None, "sales.won_amount", period="this year", title="Amount")
    assert "€7.3K" in boards.shown(amount)
    assert "€300.00" in boards.shown(amount, query="?f.core.country=FR")
    assert "€7K" in boards.shown(amount, query="?f.core.country=DE&period=this+month")
    leads = boards.card(None, "sales.leads", period="this year", title="Leads")
    assert "Not sliced by “Status of the order”" in boards.shown(leads, query="?f.sales.order_status=placed")
    pipeline = boards.card(None, "sales.pipeline", title="Open")
    assert "As it is now" in boards.shown(pipeline, query="?period=last+year")
    board = boards.ready("Sales")[0]
    choices = boards.page(f"/dashboards/{board.id}/filters?f.core.country=DE")
    assert 'name="f.core.country"' in choices


def test_a_figure_leads_to_its_records_and_to_a_file_and_to_the_analysis(boards: Any) -> None:
    people = boards.app.actors()
    boards.won(people.member, 100, 200)
    boards.refresh()
    card = boards.card(None, "sales.won_amount", rows=("core.country",), period="this year", title="By country",
                       shape="table")  # fmt: skip
    inside = boards.page(f"/dashboards/{card.dashboard_id}/card/{card.id}")
    link = re.search(r'href="(/dashboards/[^"]+/records\?[^"]+)"', inside)
    assert link is not None
    records = boards.page(link[1].replace("&amp;", "&"))
    assert "Deal 100" in records
    assert "Deal 200" in records
    file = boards.app.browser().get(f"/dashboards/{card.dashboard_id}/card/{card.id}/file")
    rows = list(csv.reader(io.StringIO(file.get_data().decode("utf-8-sig"))))
    assert rows[0][0] == "Country"
    assert float(rows[1][1]) == 300
    page = boards.page(f"/dashboards/{card.dashboard_id}")
    assert "/warehouse?measure=sales.won_amount&amp;at.core.country=rows&amp;period=this+year" in page


def test_a_card_that_fails_leaves_the_others_alone(boards: Any) -> None:
    card = boards.card(None, "sales.won_amount", period="this year", title="Amount")
    with boards.app.site.write(boards.app.admin) as unit:
        unit.update(
            unit.get(Card, card.id), {"question": {"measures": ["sales.won_amount"], "period": "next blue moon"}}
        )
    boards.refresh()
    assert "could not be shown" in boards.shown(card)
    other = boards.card(None, "sales.won", period="this year", title="Won")
    assert "could not be shown" not in boards.shown(other)


def test_before_the_first_filling_a_card_says_that_it_waits(boards: Any) -> None:
    card = boards.card(None, "sales.won_amount", period="this year", title="Amount")
    assert "being filled for the first time" in boards.shown(card)


def test_the_frame_of_a_dashboard_asks_little_however_many_cards_it_has(boards: Any) -> None:
    board = boards.make(Dashboard, name="Mine")
    boards.card(None, "sales.won", dashboard=board, title="One")
    browser = boards.app.browser()
    browser.get(f"/dashboards/{board.id}")
    with boards.app.queries() as few:
        browser.get(f"/dashboards/{board.id}")
    for number in range(12):
        boards.card(None, "sales.won", dashboard=board, title=f"Card {number}")
    with boards.app.queries() as many:
        assert browser.get(f"/dashboards/{board.id}").get_data(as_text=True).count("dash-card ") == 13
    assert len(many) == len(few) <= 12


def test_a_target_shows_how_far_it_is(boards: Any) -> None:
    people = boards.app.actors()
    boards.won(people.member, 250)
    boards.refresh()
    boards.make(Target, name="Won a quarter", measure="sales.won_amount", value=1000, period="quarter")
    card = boards.card(None, "sales.won_amount", period="this quarter", title="Amount", shape="gauge")
    assert "25% of €1,000.00" in boards.shown(card)
    month = boards.card(None, "sales.won_amount", period="this month", title="This month", shape="gauge")
    assert "No target is set" in boards.shown(month)


def test_what_is_shared_with_nobody_is_nobody_elses_and_a_shared_one_is_copied_to_change_it(boards: Any) -> None:
    people = boards.app.actors()
    mine = boards.make(Dashboard, people.member, name="Mine", shared="nobody")
    card = boards.card(people.member, "sales.won", dashboard=mine, title="Won")
    for url in (f"/dashboards/{mine.id}", f"/dashboards/{mine.id}/card/{card.id}"):
        boards.page(url, people.member)
        boards.page(url, people.stranger, status=404)
    (north,) = people.member.team_ids
    ours = boards.make(Dashboard, people.member, name="Ours", shared="team", team_id=str(north))
    boards.page(f"/dashboards/{ours.id}", people.viewer)
    boards.page(f"/dashboards/{ours.id}", people.stranger, status=404)
    business, cards = boards.ready("Business")
    browser = boards.app.browser(people.member)
    copied = boards.app.submit(browser, f"/dashboards/{business.id}/copy", {})
    copy_id = copied.headers["Location"].split("/")[2]
    assert len(boards.all(Card, Card.dashboard_id == boards.app.site.entities["dashboards.card"].id)) == 0
    (copy,) = [each for each in boards.all(Dashboard) if str(each.id) == copy_id]
    assert (copy.name, copy.shared, copy.owner_id) == ("Business (2)", "nobody", people.member.id)
    assert len(boards.all(Card, Card.dashboard_id == copy.id)) == len(cards)
    with pytest.raises((Forbidden, NotFound)):
        boards.card(people.member, "sales.won", dashboard=business, title="Smuggled")
    assert browser.get(f"/dashboards/{business.id}/arrange").status_code == 403


def test_a_card_is_made_changed_moved_and_taken_off_by_hand(boards: Any) -> None:
    people = boards.app.actors()
    browser = boards.app.browser(people.member)
    made = boards.app.submit(browser, "/dashboards/new", {"name": "My morning", "shared": "nobody"})
    base = made.headers["Location"].removesuffix("/arrange")
    form = {"title": "Won by month", "shape": "bar", "size": "half", "measure1": "sales.won_amount",
            "row": "date.month", "period": "last 12 months", "compare": "year", "top": "", "share": ""}  # fmt: skip
    assert boards.app.submit(browser, f"{base}/card/new", form).status_code == 302
    (card,) = boards.all(Card, Card.title == "Won by month")
    kept = Question.from_json(card.question)
    assert (kept.measures, kept.rows, kept.period, kept.compare) == (
        ("sales.won_amount",), ("date.month",), "last 12 months", "year",
    )  # fmt: skip
    empty = boards.app.submit(browser, f"{base}/card/new", {**form, "title": "Empty", "measure1": ""})
    assert empty.status_code == 422
    assert "is needed: what does the card show?" in empty.get_data(as_text=True)
    boards.app.submit(browser, f"{base}/card/new", {"title": "Open", "shape": "list", "size": "half",
                                                     "entity": "sales.opportunity", "sort": "-amount"})  # fmt: skip
    (other,) = boards.all(Card, Card.title == "Open")
    order = {"item": [str(other.id), str(card.id)], f"size.{card.id}": "full"}
    boards.app.submit(browser, f"{base}/arrange", order)
    cards = sorted(boards.all(Card, Card.dashboard_id == card.dashboard_id), key=lambda each: each.position)
    assert [(each.title, each.size) for each in cards] == [("Open", "half"), ("Won by month", "full")]
    boards.app.submit(browser, f"{base}/card/{other.id}/delete", {})
    assert [each.title for each in boards.all(Card, Card.dashboard_id == card.dashboard_id)] == ["Won by month"]


def test_a_card_shows_what_a_module_shows_by_itself_to_whoever_may_see_it(boards: Any) -> None:
    people = boards.app.actors()
    boards.won(people.member, 250)
    form = {"title": "Quotas", "shape": "panel", "size": "half", "panel": "dashboard:sales/ranking.html"}
    board = boards.make(Dashboard, name="Mine", shared="everybody")
    browser = boards.app.browser()
    assert boards.app.submit(browser, f"/dashboards/{board.id}/card/new", {**form, "panel": ""}).status_code == 422
    assert boards.app.submit(browser, f"/dashboards/{board.id}/card/new", form).status_code == 302
    (card,) = boards.all(Card, Card.title == "Quotas")
    assert "€250.00" in boards.shown(card)
    assert "does not slice what a module shows" in boards.shown(card, query="?period=today")
    boards.page(f"/dashboards/{board.id}/card/{card.id}/file", status=404)
    assert "/dashboards.alert/new" not in boards.page(f"/dashboards/{board.id}")
    with pytest.raises(Invalid, match="has no figure to watch"):
        boards.make(Alert, name="Watch", card_id=str(card.id), threshold=1)
    gone = boards.make(Card, dashboard_id=str(board.id), title="Gone", shape="panel", panel="dashboard:gone/it.html")
    with boards.app.site.read(boards.app.admin) as reader:
        assert shown_cards(reader, [card, gone]) == [card], "its module is off"
    assert "Gone" not in boards.page(f"/dashboards/{board.id}")


def test_a_funnel_follows_its_stages_and_not_the_amounts(boards: Any) -> None:
    with boards.app.site.write(boards.app.admin) as unit:
        stages = [each for each in stages_of(unit.session, "sales.opportunity") if each.kind == "open"]
        buyer = unit.create(Customer, {"name": "Ada"})
        for stage, amount in zip(stages, (10, 3000, 200), strict=False):
            unit.create(Opportunity, {"name": f"At {stage}", "customer_id": str(buyer.id), "amount": amount,
                                      "currency": "EUR", "stage_id": str(stage.id)})  # fmt: skip
    boards.refresh()
    _board, cards = boards.ready("Sales")
    (funnel,) = [each for each in cards if each.shape == "funnel"]
    with boards.app.site.read(boards.app.admin) as reader:
        spec = read_card(reader, funnel, Asked()).spec
    assert spec is not None
    assert spec["x"] == [str(each) for each in stages[:3]]
    assert spec["series"][0]["data"] == [10, 3000, 200]


def test_two_cards_of_a_dashboard_have_two_titles(boards: Any) -> None:
    board = boards.make(Dashboard, name="Mine")
    boards.card(None, "sales.won", dashboard=board, title="Won")
    with pytest.raises(Conflict):
        boards.card(None, "sales.won", dashboard=board, title="Won")


def test_a_wall_has_the_cards_alone_and_asks_for_them_again(boards: Any) -> None:
    board, _cards = boards.ready("Sales")
    page = boards.page(f"/dashboards/{board.id}?full=1")
    assert "every 300s" in page
    assert 'class="r-side"' not in page


def test_the_menu_has_one_entry_for_dashboards_and_what_modules_show_is_one_of_them(boards: Any) -> None:
    page = boards.page("/")
    assert page.count(">Dashboards<") == 1
    assert ">Dashboard<" not in page
    board, _cards = boards.ready("Sales")
    assert "/dashboards/modules" in boards.page(f"/dashboards/{board.id}")
    assert "Open pipeline" in boards.page("/dashboards/modules")


def test_a_dashboard_goes_to_another_site_with_an_edition(boards: Any, tmp_path: Any) -> None:
    board = boards.make(Dashboard, name="Pools", shared="everybody", roles=["manager"])
    boards.card(None, "sales.won", rows=("core.country",), dashboard=board, title="Won", shape="bar")
    boards.make(Target, name="Won a year", measure="sales.won", value=12, period="year")
    boards.make(Dashboard, name="Private", shared="nobody")
    export_edition(boards.app.site.config, tmp_path / "export", name="exported")
    folder = read_edition(tmp_path / "export").folder
    told = "".join(each.read_text("utf-8") for each in folder.glob("*.toml"))
    assert 'name = "Pools"' in told
    assert 'measures = ["sales.won"]' in told
    assert "Won a year" in told
    assert "Private" not in told


def test_every_figure_that_the_ready_cards_ask_for_exists_where_its_module_is_on(make_app: Any) -> None:
    with make_app(plugins=[name for name in discover() if name != "showcase"]) as app:
        unknown, pieces = set(), {panel.name for panel in app.site.panels_at["dashboard"]}
        for ready in READY:
            for card in ready.cards:
                if card["shape"] == "list":
                    unknown |= {card["entity"]} - {entity.meta.name for entity in app.site.entities}
                    continue
                if card["shape"] == "panel":
                    unknown |= {card["panel"]} - pieces
                    continue
                question = Question.from_json(card["question"])
                unknown |= {name for name in question.measures if name not in app.site.measures}
                parts = {*question.rows, *question.columns}
                unknown |= {name for name in parts if name not in app.site.dimensions and not name.startswith("date.")}
        assert unknown == set()


def test_a_question_goes_to_the_page_of_analyses_and_comes_back_as_it_was() -> None:
    question = Question(
        ("sales.won", "sales.won_amount"), rows=("date.month",), columns=("core.owner",),
        where={"core.country": ("FR", "DE")}, period="this year", compare="year", order="-sales.won", top=5, share=True,
    )  # fmt: skip
    assert question_at(urlencode(address_of(question, "bar"))) == question


def test_figures_are_written_as_people_read_them() -> None:
    from rapport_warehouse import MeasureInfo

    from rapport import Formats

    said = {
        kind: write(
            Formats("en"), 0.256 if kind == "percent" else 1234.5, MeasureInfo("x.y", "X", kind, "EUR", "up"), "EUR"
        )
        for kind in ("integer", "decimal", "money", "percent", "hours", "days")
    }
    assert said == {
        "integer": "1,234", "decimal": "1,234.5", "money": "€1,234.50", "percent": "25.6%", "hours": "1,234.5 h",
        "days": "1,234.5 days",
    }  # fmt: skip
