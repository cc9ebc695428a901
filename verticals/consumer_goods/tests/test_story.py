"""One year at Lagoon, makers of pool supplies, from the idea of a robotic skimmer in March to the figures in September.

Everybody works as people do: pages, mails with links, the API, a telephone system that tells of calls. In the end every
figure that a report shows is computed a second time, from the raw rows.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from rapport_email.testing import MailServer, make_account, running_mail_server

from rapport import Config, store, system
from rapport.app import create_app
from rapport.builtin.edition import apply_edition, find_edition
from rapport.builtin.exchange import imports
from rapport.lifecycle import make_site
from rapport.testing import TestApp
from tests.torture import in_turn, tries

HOUSEHOLDS = 500
"""Enough for the story; that many are taken in and chosen from is a test of its own."""
BOUGHT = "Households 2026"
FIRST, SURNAMES = (
    ("Ada", "Ben", "Claire", "Dov", "Elham", "Feng"),
    ("Martin", "Okafor", "Levi", "Karimi", "Wang", "Roux"),
)


class Lagoon:
    """The business, its people, and the ways they work with Rapport."""

    def __init__(self, app: TestApp, mails: MailServer) -> None:
        self.app, self.mails = app, mails
        self.people = {
            role: app.user(name, roles=[role])
            for role, name in {
                "marketing": "Marta Rossi", "telemarketing": "Tom Becker", "sales": "James Okafor",
                "service": "Sara Haddad", "purchasing": "Peter Blanc", "managers": "Dana Director",
            }.items()
        }  # fmt: skip
        self._clients: dict[str, Any] = {}
        self._browsers: dict[str, Any] = {}

    def api(self, role: str) -> Any:
        """What somebody with this role asks the API, by their token."""
        if role not in self._clients:
            self._clients[role] = self.app.api(self.people[role] if role != "admin" else self.app.admin)
        return self._clients[role]

    def make(self, who: str, kind: str, /, **values: Any) -> dict[str, Any]:
        """Somebody makes a record."""
        answer = self.api(who).post(f"/api/v1/{kind}", json={name: _json(each) for name, each in values.items()})
        assert answer.status_code == 201, (kind, values, answer.get_json())
        return dict(answer.get_json())

    def all(self, kind: str, filter: str = "", role: str = "admin") -> list[dict[str, Any]]:
        """Every record of a kind that somebody sees, page by page."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 200, **({"filter": filter} if filter else {})}
        while True:
            answer = self.api(role).get(f"/api/v1/{kind}", query_string=query).get_json()
            found += answer["items"]
            if not answer.get("next_cursor"):
                return found
            query["cursor"] = answer["next_cursor"]

    def browser(self, who: str) -> Any:
        """Somebody's browser, in which they are signed in."""
        if who not in self._browsers:
            self._browsers[who] = self.app.browser(self.people[who])
        return self._browsers[who]

    def do(self, who: str, path: str, /, **form: Any) -> Any:
        """Somebody presses a button on a page."""
        answer = self.app.submit(self.browser(who), path, form)
        assert answer.status_code in {302, 303}, (path, answer.get_data(as_text=True)[:3000])
        self.app.settle()
        return answer

    def report(self, who: str, name: str, **asked: Any) -> list[dict[str, str]]:
        """The rows of a report, as the file that somebody takes away."""
        answer = self.browser(who).get(f"/reports/{name}/export", query_string=asked)
        assert answer.status_code == 200, (name, answer.get_data(as_text=True)[:500])
        text = answer.get_data(as_text=True).lstrip("\ufeff")
        answer.close()
        return list(csv.DictReader(io.StringIO(text)))

    def import_households(self, many: int) -> list[int]:
        """Marketing takes in a file of bought households; their incomes."""
        chance = random.Random(2026)
        incomes = [chance.randrange(20_000, 260_000) for _number in range(many)]
        file = io.StringIO()
        sheet = csv.writer(file)
        sheet.writerow(["Name", "E-mail", "Phone", "Household income", "Pool", "Street", "City", "List"])
        for number, income in enumerate(incomes):
            name = f"{FIRST[number % 6]} {SURNAMES[number // 6 % 6]} {number}"
            sheet.writerow([name, f"home{number}@mail.example", f"+1212{5550000 + number}", income, "In the ground",
                            f"{number} Lake Road", "Austin", BOUGHT])  # fmt: skip
        marta = self.people["marketing"]
        run = imports.start(self.app.site, marta, "customer", file.getvalue().encode(), "households.csv")
        done = imports.run(self.app.site, marta, run.id)
        assert (done.created, done.refused) == (many, 0)
        self.app.settle()
        return incomes

    def choose_by_income(self, incomes: list[int]) -> None:
        """Marketing chooses those of 75,000 to 200,000 dollars a year."""
        segment = self.make("marketing", "marketing.segment", name="Can afford a robot", tracked=False,
                            filter="x_income between 75000 and 200000")  # fmt: skip
        self.do("marketing", f"/marketing.segment/{segment['id']}/do/count")
        (counted,) = self.all("marketing.segment")
        assert counted["count"] == sum(75_000 <= income <= 200_000 for income in incomes)

    def follow(self, address: str, path: str, **form: str) -> int:
        """A customer opens the last link of this kind that was mailed to them, and sends the form behind it."""
        links = [
            found for mail in self.mails.to(address) for found in re.findall(f"http://localhost({path})", _text(mail))
        ]
        assert links, (address, path)
        stranger = self.app.flask.test_client()
        shown = stranger.get(links[-1])
        assert shown.status_code == 200, links[-1]
        sent = stranger.post(links[-1], data=form)
        assert sent.status_code < 400, sent.get_data(as_text=True)[:3000]
        self.app.settle()
        return int(sent.status_code)

    def rings(self, kind: str, call: str, **more: str) -> None:
        """The telephone system tells of a call."""
        answer = self.api("admin").post("/api/v1/callcenter.event", json={"kind": kind, "call": call, **more})
        assert answer.status_code == 201, answer.get_json()
        self.app.settle()

    def ship(self, who: str, order_id: str) -> None:
        """An order is placed and delivered."""
        self.do(who, f"/sales.order/{order_id}/do/place")
        self.do(who, f"/sales.order/{order_id}/do/fulfil")

    def register(self, customer_id: str, product_id: str, serial: str, bought: str) -> None:
        """A customer signs in to the portal by the link in their mail, and fills in the warranty card."""
        (customer,) = self.all("customer", f'id = "{customer_id}"')
        theirs = self.app.flask.test_client()
        theirs.post("/portal/sign-in", data={"email": customer["email"]})
        self.app.settle()
        link = re.findall(r"http://localhost(/portal/enter/\S+)", _text(self.mails.to(customer["email"])[-1]))[0]
        assert theirs.post(link).status_code == 302
        card = {"product_id": product_id, "serial": serial, "purchased_on": bought, "bought_at": "Web shop"}
        sent = theirs.post("/portal/service/products", data=card)
        assert sent.status_code == 302, sent.get_data(as_text=True)[:3000]
        self.app.settle()

    def change(self, who: str, kind: str, record_id: str, /, **values: Any) -> dict[str, Any]:
        """Somebody changes a record."""
        client, path = self.api(who), f"/api/v1/{kind}/{record_id}"
        tag = client.get(path).headers["ETag"]
        answer = client.patch(
            path, json={name: _json(each) for name, each in values.items()}, headers={"If-Match": tag}
        )
        assert answer.status_code == 200, (kind, values, answer.get_json())
        return dict(answer.get_json())

    def decide(self, role: str, about: str, word: str) -> None:
        """Somebody answers a question from their mail: opens the link, and presses the button there."""
        address = str(self.people[role].email)
        texts = [_text(mail) for mail in self.mails.to(address)]
        asked = [text for text in texts if about in text and f"{word}:" in text]
        assert asked, (about, texts)
        link = re.search(rf"{word}:\s+http://localhost(/decide/\S+)", asked[-1])
        assert link is not None
        stranger = self.app.flask.test_client()  # nobody is signed in where mails are read
        shown = stranger.get(link[1]).get_data(as_text=True)
        token = shown.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
        assert stranger.post(link[1], data={"csrf_token": token}).status_code == 200
        self.app.settle()


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, (UUID, Decimal, dt.date, dt.datetime)) else value


def _text(mail: Any) -> str:
    part = next((each for each in mail.walk() if each.get_content_type() == "text/plain"), mail)
    return bytes(part.get_payload(decode=True) or b"").decode(part.get_content_charset() or "utf-8")


@pytest.fixture
def lagoon(tmp_path: Path, database_url: str, clock: Any) -> Iterator[Lagoon]:
    """Lagoon's site, fitted with the edition, in the first days of March."""
    clock.now = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    with running_mail_server() as mails:
        config = Config(
            home=tmp_path, database_url=database_url, secret_key="test " * 8, testing=True, base_url="http://localhost",
            mail_url=f"smtp://127.0.0.1:{mails.port}",
        )  # fmt: skip
        make_site(config)
        apply_edition(config, find_edition("consumer_goods"), actor=system("Ada").through("cli"))
        flask = create_app(config)
        app = TestApp(flask.extensions["rapport"], flask)
        with app.site.write(app.admin) as unit:
            app.site.settings.set(unit.session.connection(), "core.currency", "USD")
        app.settle()
        make_account(app.site, app.admin, address="hello@lagoon.example", mail_server=mails)
        yield Lagoon(app, mails)
        app.site.close()


@pytest.mark.timeout(500)
@pytest.mark.parametrize("database_url", in_turn(0), indirect=True)  # its parts are tried on both where they are made
def test_the_robotic_skimmer_from_march_to_september(lagoon: Lagoon, clock: Any) -> None:
    # March: a campaign with a team, a budget of the year, and a meeting with the designers.
    marta, dana = lagoon.people["marketing"], lagoon.people["managers"]
    products = {
        code: lagoon.make("managers", "products.product", name=name, code=code, price=price, cost=cost,
                          service_warranty_months=24, currency="USD")
        for code, name, price, cost in (
            ("SK", "Robotic skimmer", "449.00", "198.00"), ("HS", "Hand skimmer", "24.90", "7.80"),
        )
    }  # fmt: skip
    lagoon.make("managers", "marketing.budget", year="2026", amount="150000", currency="USD")
    campaign = lagoon.make(
        "marketing", "marketing.campaign", name="Robotic skimmer", code="SKIMMER", budget="60000", currency="USD",
        year="2026", planned_from="2026-03-02", planned_to="2026-09-30", owner_id=marta.id, director_id=dana.id,
        approver_id=dana.id,
    )  # fmt: skip
    for role in ("telemarketing", "sales", "service"):
        lagoon.make("marketing", "marketing.team_member", campaign_id=campaign["id"], user_id=lagoon.people[role].id,
                    role=role)  # fmt: skip
    lagoon.make("marketing", "calendar.appointment", title="Meet the designers", starts_at="2026-03-05T10:00:00Z",
                ends_at="2026-03-05T11:00:00Z")  # fmt: skip

    # Three designs. The marketer takes the third, then the director approves it; each from a mail.
    leaflet = lagoon.make("marketing", "marketing.asset", campaign_id=campaign["id"], name="Design")
    for number in range(1, 4):
        file = store(lagoon.app.site, io.BytesIO(b"drawing %d" % number), f"design{number}.png", marta)
        lagoon.make("marketing", "marketing.asset_version", asset_id=leaflet["id"], file=file.id)
    lagoon.do("marketing", f"/marketing.asset/{leaflet['id']}/do/ask")
    lagoon.decide("marketing", "“Design 3”", "Approve")
    lagoon.decide("managers", "“Design 3” was chosen", "Approve")
    versions = sorted(lagoon.all("marketing.asset_version"), key=lambda each: each["number"])
    assert [each["status"] for each in versions] == ["not_chosen", "not_chosen", "approved"]

    # The budget is compared with the annual one, and approved.
    lagoon.do("marketing", f"/marketing.campaign/{campaign['id']}/do/ask_budget")
    assert any("$90,000.00 would be left" in _text(mail) for mail in lagoon.mails.to(str(dana.email)))
    lagoon.decide("managers", "60000.00 USD", "Approve")
    lagoon.do("marketing", f"/marketing.campaign/{campaign['id']}/do/begin")

    # A list of households is bought. They agreed, and the vendor says when and to what.
    lagoon.make(
        "marketing", "marketing.list", name=BOUGHT, kind="bought", source="Home and Garden panel",
        vendor="Lists Ltd", cost="4200", currency="USD", basis="consent", proof="Ticked “Offers for my home”.",
        obtained_on="2026-03-09",
    )  # fmt: skip
    for title, kind, amount in ((BOUGHT, "list", "4200"), ("Drawings", "design", "6150"),
                                ("Magazines", "media", "18400"), ("Calls", "calls", "5300")):  # fmt: skip
        lagoon.make("marketing", "marketing.cost", campaign_id=campaign["id"], title=title, kind=kind, amount=amount,
                    currency="USD", on="2026-03-20")  # fmt: skip
    clock.now = dt.datetime(2026, 3, 16, 9, tzinfo=dt.UTC)
    incomes = lagoon.import_households(HOUSEHOLDS)
    lagoon.choose_by_income(incomes)

    # Telemarketing calls some of them, at random. Who is interested becomes a lead; sales quotes and sells.
    script = lagoon.make("marketing", "callcenter.script", name="Launch")
    lagoon.make("marketing", "callcenter.step", script_id=script["id"], key="hello", position=1,
                text="Hello {{ customer.name }}, this is Lagoon.", question="Have you a pool?")  # fmt: skip
    calls = lagoon.make("marketing", "callcenter.call_list", name="Launch", campaign="SKIMMER", ordering="random",
                        seed=5, script_id=script["id"], hours_from="00:00", hours_to="23:59",
                        filter="x_income between 75000 and 200000")  # fmt: skip
    lagoon.do("marketing", f"/callcenter.call_list/{calls['id']}/do/fill")
    lagoon.make("admin", "callcenter.agent", user_id=lagoon.people["telemarketing"].id, extension="11")
    results = work_through(lagoon, "telemarketing", calls["id"], ["Interested", "Not interested", "No answer"] * 8)
    assert results == Counter({"Interested": 8, "Not interested": 8, "No answer": 8})
    leads = lagoon.all("sales.lead", role="sales")
    assert len(leads) == 8
    assert {each["campaign"] for each in leads} == {"SKIMMER"}

    # April: sales talks to them. Six accept what they are offered, by the link in their mail; two do not.
    rita = lagoon.app.user("Rita Sold", roles=["sales"])
    lagoon.people["rita"] = rita
    for seller, target in (("sales", "2500"), ("rita", "1500")):
        lagoon.make("managers", "sales.quota", user_id=lagoon.people[seller].id, period="year", starts_on="2026-01-01",
                    target=target, currency="USD")  # fmt: skip
    buyers: list[str] = []
    for number, lead in enumerate(leads):
        clock.now = dt.datetime(2026, 4, 1 + number // 4, 9, 10 * (number % 4), tzinfo=dt.UTC)
        seller = ("sales", "rita")[number % 3 == 2]
        lagoon.do("managers", f"/sales.lead/{lead['id']}/do/assign", owner_id=str(lagoon.people[seller].id))
        lagoon.do(seller, f"/sales.lead/{lead['id']}/do/qualify")
        lagoon.do(seller, f"/sales.lead/{lead['id']}/do/convert", amount="449")
        (deal,) = lagoon.all("sales.opportunity", f'customer_id = "{lead["customer_id"]}"')
        lagoon.make(seller, "sales.line", opportunity_id=deal["id"], product_id=products["SK"]["id"],
                    quantity=str(1 + number % 2))  # fmt: skip
        lagoon.do(seller, f"/sales.opportunity/{deal['id']}/do/quote")
        (quote,) = lagoon.all("sales.quote", f'opportunity_id = "{deal["id"]}"')
        lagoon.do(seller, f"/sales.quote/{quote['id']}/do/send")
        answer = "decline" if number % 4 == 3 else "accept"
        assert lagoon.follow(lead["email"], r"/sales/quote/\S+", answer=answer, by=lead["name"], note="") == 200
        if answer == "accept":
            buyers.append(lead["customer_id"])
            lagoon.do(seller, f"/sales.quote/{quote['id']}/do/order")
            (order,) = lagoon.all("sales.order", f'quote_id = "{quote["id"]}"')
            lagoon.ship(seller, order["id"])
        else:
            lagoon.do(seller, f"/sales.opportunity/{deal['id']}/do/lose", reason="price")
    assert len(buyers) == 6
    clock.now = dt.datetime(2026, 4, 12, 9, tzinfo=dt.UTC)

    # Buyers send their warranty card by the portal; service calls them in random order, reminds the others of it, and
    # offers the hand skimmers that purchasing has too many of.
    for customer_id in buyers[:4]:
        lagoon.register(customer_id, products["SK"]["id"], f"sk-{customer_id[-6:]}", "2026-04-13")
    cards = lagoon.all("service.registration", role="service")
    assert {each["customer_id"] for each in cards} == set(buyers[:4])
    assert {each["warranty_until"] for each in cards} == {"2028-04-13"}
    lagoon.make("purchasing", "task", title="Hand skimmers: 400 too many. Offer them to those who bought a robot.")
    sold = lagoon.make("marketing", "callcenter.call_list", name="Sold", campaign="SKIMMER", ordering="random", seed=3,
                       hours_from="00:00", hours_to="23:59", purpose="service")  # fmt: skip
    lagoon.do("service", "/customer/bulk", do="call", ids=buyers, list_id=sold["id"])
    lagoon.make("admin", "callcenter.agent", user_id=lagoon.people["service"].id, extension="12")
    work_through(lagoon, "service", sold["id"], ["Interested", "Reached, nothing decided", "Not interested"] * 2)
    wanting = [each["customer_id"] for each in lagoon.all("callcenter.call", f'list_id = "{sold["id"]}"')
               if each["result"] == "success"]  # fmt: skip
    for customer_id in wanting:
        order = lagoon.make("sales", "sales.order", customer_id=customer_id, campaign="SKIMMER", currency="USD",
                            subject="Hand skimmer")  # fmt: skip
        lagoon.make("sales", "sales.order_line", order_id=order["id"], product_id=products["HS"]["id"], quantity="2")
        lagoon.ship("sales", order["id"])

    # A month after, every buyer is asked. Two are not satisfied: each becomes a case; one gets
    # the money back, one another skimmer.
    (survey,) = lagoon.all("service.survey")
    lagoon.change("managers", "service.survey", survey["id"], active=True)
    clock.now = dt.datetime(2026, 5, 14, 12, tzinfo=dt.UTC)
    lagoon.app.settle()
    questions = sorted(lagoon.all("service.question"), key=lambda each: each["position"])
    marks = iter([9, 2, 8, 10, 3, 7])
    asked = lagoon.all("service.invitation")
    assert {each["customer_id"] for each in asked} == set(buyers)
    given: list[dict[str, int]] = []
    emails = {
        each["id"]: each["email"] for each in lagoon.all("customer", " or ".join(f'id = "{each}"' for each in buyers))
    }
    for customer_id in buyers:
        mark = next(marks)
        answers = {each["kind"]: mark for each in questions if each["kind"] != "text"}
        form = {f"q-{each['id']}": str(mark) for each in questions if each["kind"] != "text"}
        assert lagoon.follow(emails[customer_id], r"/service/survey/\S+", **form) == 200
        given.append(answers)
    unhappy = lagoon.all("service.case", 'kind = "complaint"', role="service")
    assert len(unhappy) == 2
    settled = Counter[str]()
    for case, remedy in zip(unhappy, ("refund", "replacement"), strict=True):
        card = {"customer_id": case["customer_id"], "product_id": products["SK"]["id"], "case_id": case["id"],
                "reason": "defective", "wish": remedy, "receipt": True, "purchased_on": "2026-04-13", "paid": "449",
                "currency": "USD"}  # fmt: skip
        back = lagoon.make("service", "service.return", **card)
        lagoon.do("managers", f"/service.return/{back['id']}/do/approve", remedy=remedy, amount="449", why="Promised")
        for step, form in (("receive", {}), ("inspect", {"condition": "damaged", "finding": "Water in the motor"}),
                           ("settle", {"remedy": remedy, "amount": "449", "replacement_serial": "sk-2"})):  # fmt: skip
            lagoon.do("managers", f"/service.return/{back['id']}/do/{step}", **form)
        settled[remedy] += 1
        lagoon.change("service", "service.case", case["id"], status="solved")
    lagoon.app.settle()
    assert {each["loop"] for each in lagoon.all("service.invitation")} == {"", "closed"}

    # All summer the telephones ring. Some hang up before anybody answers.
    lagoon.make("admin", "callcenter.queue", name="Help", number="+12125550000")
    codes = {each["about"]: each["id"] for each in lagoon.all("callcenter.wrap_up")}
    rung: list[tuple[str, str]] = []
    for number in range(10):
        clock.now = dt.datetime(2026, 6, 1 + number // 4, 10, 10 * (number % 4), tzinfo=dt.UTC)
        who, extension = (("telemarketing", "11"), ("service", "12"))[number % 4 == 0]
        call = f"call-{number}"
        lagoon.do(who, "/callcenter/desk/state", state="available")
        lagoon.rings("ringing", call, number=f"+1212{5550000 + number}", dialled="+12125550000")
        clock.forward(seconds=10 + number)
        if number % 5 == 4:
            lagoon.rings("hung_up", call)
            rung.append(("", "abandoned"))
        else:
            lagoon.rings("answered", call, extension=extension)
            clock.forward(seconds=90)
            lagoon.rings("hung_up", call)
            (kept,) = lagoon.all("callcenter.call", 'direction = "in" and status = "ended" and wrap_up_id is empty')
            about = ("", "complaint", "quality", "replacement", "refund")[number % 5]
            lagoon.do(who, f"/callcenter/desk/{kept['id']}/wrap-up", wrap_up_id=codes[about], note="")
            rung.append((who, about))
        lagoon.do(who, "/callcenter/desk/state", state="offline")

    # People look at the web site; most of them just after the magazines are out.
    with lagoon.app.site.write(lagoon.app.admin) as unit:
        lagoon.app.site.settings.set(unit.session.connection(), "portal.web_sites", "www.lagoon.example")
    seen = {dt.date(2026, 7, day): many for day, many in ((1, 2), (2, 9), (3, 4), (4, 1))}
    for day, people in seen.items():
        clock.now = dt.datetime(day.year, day.month, day.day, 10, tzinfo=dt.UTC)
        for number in range(people):
            somebody = lagoon.app.flask.test_client()
            somebody.get("/portal/visit.gif?p=/skimmer&c=SKIMMER", environ_base={"REMOTE_ADDR": f"10.0.0.{number + 1}"},
                         headers={"Referer": "https://www.lagoon.example/", "User-Agent": "Firefox"})  # fmt: skip
        lagoon.app.settle()

    # September: every figure, as the reports tell it and as the raw rows have it.
    clock.now = dt.datetime(2026, 9, 30, 12, tzinfo=dt.UTC)
    lagoon.app.settle()
    orders = lagoon.all("sales.order", 'status = "fulfilled"')
    revenue, spent_on = (sum(Decimal(each[name]) for each in orders) for name in ("total", "cost"))
    cost = sum(Decimal(each["amount"]) for each in lagoon.all("marketing.cost"))
    (told,) = lagoon.report("managers", "marketing.campaigns")
    assert (told["Bought"], Decimal(told["Cost"]), Decimal(told["Revenue"])) == (str(len(buyers)), cost, revenue)
    profit = revenue - spent_on
    assert Decimal(told["Gross profit"]) == profit
    assert abs(Decimal(told["Return in %"]) - (profit - cost) / cost * 100) < Decimal("0.05")

    visits = lagoon.report("marketing", "portal.visits", since="2026-06-25", until="2026-07-10", campaign="SKIMMER")
    by_day = {each["Day"]: int(each["Visits"]) for each in visits if int(each["Visits"])}
    assert by_day == {day.isoformat(): many for day, many in seen.items()}
    assert [each["Day"] for each in visits if each["Peak"].lower() in {"yes", "true", "1"}] == ["2026-07-02"]

    ranking = lagoon.report("managers", "sales.ranking", period="year", on="2026-09-30")
    names = {str(lagoon.people[key].id): str(lagoon.people[key].name) for key in ("sales", "rita")}
    won = [each for each in lagoon.all("sales.opportunity") if each["closed_on"] and each["customer_id"] in buyers]
    sold_by = {name: sum(Decimal(each["amount"]) for each in won if names[each["owner_id"]] == name)
               for name in names.values()}  # fmt: skip
    assert {each["Person"]: Decimal(each["Result"]) for each in ranking} == sold_by
    best_first = sorted(sold_by, key=lambda name: -sold_by[name])
    assert [each["Person"] for each in sorted(ranking, key=lambda each: int(each["Rank"]))] == best_first
    assert {each["Person"]: Decimal(each["Quota"]) for each in ranking} == {names[key]: target for key, target in zip(
        names, (Decimal(2500), Decimal(1500)), strict=True)}  # fmt: skip

    agents = {
        each["By"]: each for each in lagoon.report("managers", "callcenter.incoming", by="agent", since="2026-03-01")
    }
    for who in ("telemarketing", "service"):
        assert int(agents[str(lagoon.people[who].name)]["Answered"]) == sum(each == who for each, _about in rung)
    days = lagoon.report("managers", "callcenter.incoming", by="day", since="2026-03-01")
    abouts = Counter(about for _who, about in rung)
    for column, about in (("Abandoned", "abandoned"), ("Complaints", "complaint"), ("Quality problems", "quality"),
                          ("Replacements", "replacement"), ("Refunds", "refund")):  # fmt: skip
        assert sum(int(each[column]) for each in days) == abouts[about], column
    assert sum(int(each["Calls"]) for each in days) == len(rung)

    back = lagoon.report("managers", "service.returns", since="2026-03-01")
    assert sum(int(each["Refunds"]) for each in back) == settled["refund"]
    assert sum(int(each["Replacements"]) for each in back) == settled["replacement"]
    rows = [each for each in lagoon.report("managers", "service.satisfaction", since="2026-03-01")
            if "with the product" in each["Question"]]  # fmt: skip
    answered = sum(int(each["Answers"]) for each in rows)
    mean = sum(Decimal(each["Mean"]) * int(each["Answers"]) for each in rows) / answered
    marks = [Decimal(each["mark"]) for each in lagoon.all("service.answer", 'kind = "product"')]
    assert (answered, sorted(marks)) == (len(given), sorted(Decimal(each["product"]) for each in given))
    assert abs(mean - sum(marks) / len(marks)) < Decimal("0.05")


@pytest.mark.timeout(500)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_thousands_of_households_are_taken_in_and_chosen_from(lagoon: Lagoon) -> None:
    lagoon.make("marketing", "marketing.list", name=BOUGHT, kind="bought", source="Home and Garden panel",
                basis="consent", proof="Ticked “Offers for my home”.")  # fmt: skip
    lagoon.choose_by_income(lagoon.import_households(tries(5_000, long=20_000)))


def work_through(lagoon: Lagoon, who: str, list_id: str, answers: list[str]) -> Counter[str]:
    """Somebody calls one customer of a list after the other; how the calls ended."""
    names = {each["name"]: each["id"] for each in lagoon.all("callcenter.disposition")}
    lagoon.do(who, "/callcenter/calling/next", list_id=list_id)
    for answer in answers:
        page = lagoon.browser(who).get("/callcenter/calling").get_data(as_text=True)
        (entry,) = set(re.findall(r"/callcenter/calling/([0-9a-f-]{36})/", page))
        lagoon.do(who, f"/callcenter/calling/{entry}/dial")
        lagoon.do(who, f"/callcenter/calling/{entry}/finish", disposition_id=names[answer], note=answer)
    rows = lagoon.all("callcenter.call", f'list_id = "{list_id}"')
    known = {record_id: name for name, record_id in names.items()}
    return Counter(known[each["disposition_id"]] for each in rows)
