"""A believable business to try sales with: a maker of solar plants, its customers in five languages, its deals."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from rapport_products import Product, catalogue

from rapport import (
    Customer,
    Entity,
    Interaction,
    Membership,
    RapportError,
    Task,
    Team,
    Transition,
    Unit,
    User,
    create_user,
    stages_of,
    utcnow,
)
from rapport_sales.entities import Lead, Line, Opportunity
from rapport_sales.lines import copied
from rapport_sales.orders import Order, OrderLine
from rapport_sales.quotes import quote_for
from rapport_sales.sample.cast import COUNTRIES, SALESPEOPLE, Country
from rapport_sales.service import ENTITY

E = TypeVar("E", bound=Entity)
ILS = Decimal("3.9")
DEALS = {"New": 22, "Qualified": 24, "Proposal": 22, "Negotiation": 14, "Won": 36, "Lost": 22}
LOST_FOR = ("price", "price", "competitor", "budget", "no_decision", "no_answer", "delivery")
WON_FOR = ("fit", "relationship", "relationship", "price", "delivery")
COMPETITORS = ("Umbra Energie", "Sunfold", "Northlight Co-op")
SOURCES = ("Website", "Recommendation", "Energy fair", "Call", "Newspaper")
LEADS = ["new"] * 4 + ["working"] * 3 + ["qualified"] * 2 + ["unqualified"] * 2 + ["converted"]


def load(unit: Unit) -> None:
    """Put the whole business in, the same every time but for the days, which count back from today."""
    _Business(unit).open()


@dataclass(frozen=True, slots=True)
class _Seller:
    id: UUID
    team_id: UUID
    language: str


@dataclass(frozen=True, slots=True)
class _Party:
    """A customer, whom to talk to there, and who of us does."""

    customer: Customer
    contact: Customer | None
    country: Country
    seller: _Seller


class _Business:
    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.chance = random.Random(2026)  # noqa: S311 - a story, not a secret
        self.now = utcnow()
        self.today = self.now.date()
        self.sellers = _sellers(unit)
        self.stages = {stage.title: stage for stage in stages_of(unit.session, ENTITY)}
        if not set(DEALS) <= set(self.stages):
            raise RapportError("The sample business needs the pipeline that sales begins with: New, Qualified … Lost.")

    def open(self) -> None:
        """Products, customers, deals with all that happened, tasks and leads."""
        products = catalogue(self.unit)
        parties = [party for country in COUNTRIES for party in self.customers(country)]
        deals = self.deals(parties, products)
        self.talk(parties, deals)
        self.papers(deals)
        self.tasks(deals)
        self.leads(deals)

    # Whom we know ----------------------------------------------------------------------------------------------------

    def customers(self, country: Country) -> list[_Party]:
        """Eight firms with somebody each, and eight people for themselves."""
        firms = [
            self.build(Customer, {
                "kind": "organisation", "name": name, "email": f"info@{address.removesuffix('.example')}.example.com",
                "website": f"https://{address}", "phone": self.phone(country), "industry": industry,
                "address": {"street": street, "postcode": postcode, "city": city, "country": country.country},
                "tags": self.tags("partner"), **self.of(country, n),
            }, self.ago(self.chance.randint(200, 900)))
            for n, (name, address, street, postcode, city, industry) in enumerate(country.firms)
        ]  # fmt: skip
        self.unit.insert_many(firms)
        people = []
        for n, (given, family, handle, job) in enumerate(country.people):
            firm = firms[n] if n < len(firms) else None
            people.append(self.build(Customer, {
                "kind": "person", "given_name": given, "family_name": family, "email": f"{handle}@example.org",
                "phone": self.phone(country), "job_title": job, "organisation_id": firm.id if firm else None,
                "address": {} if firm else firms[n % len(firms)].address, "tags": self.tags("vip"),
                **self.of(country, n),
            }, self.ago(self.chance.randint(150, 800))))  # fmt: skip
        self.unit.insert_many(people)
        parties = [_Party(firm, person, country, self.seller(country, n))
                   for n, (firm, person) in enumerate(zip(firms, people, strict=False))]  # fmt: skip
        alone = people[len(firms) :]
        return [*parties, *(_Party(person, None, country, self.seller(country, n)) for n, person in enumerate(alone))]

    def of(self, country: Country, number: int) -> dict[str, Any]:
        """Language, owner and source of a customer."""
        seller = self.seller(country, number)
        return {"language": country.language, "owner_id": seller.id, "team_id": seller.team_id,
                "source": self.chance.choice(SOURCES)}  # fmt: skip

    def seller(self, country: Country, number: int) -> _Seller:
        """One after the other, of those who speak the language; else of all."""
        speaking = [seller for seller in self.sellers if seller.language == country.language]
        among = speaking or self.sellers
        return among[number % len(among)]

    def phone(self, country: Country) -> str:
        """A number that nobody has."""
        return f"{country.phone}{self.chance.randint(100, 999):04}"

    def tags(self, tag: str) -> tuple[str, ...]:
        """Some carry it."""
        return (tag,) if self.chance.random() < 0.2 else ()

    # What they buy ---------------------------------------------------------------------------------------------------

    def deals(self, parties: list[_Party], products: list[Product]) -> list[tuple[Opportunity, _Party]]:
        """Deals at every stage, with lines and the way they came."""
        order = [title for title, count in DEALS.items() for _ in range(count)]
        self.chance.shuffle(order)
        deals, moves, lines = [], [], []
        for number, title in enumerate(order):
            party = parties[number % len(parties)]
            made, its_lines = self.deal(party, title, products)
            deals.append((made, party))
            lines.append((made, its_lines))
            moves += self.way(made, title, party)
        self.unit.insert_many([deal for deal, _ in deals])
        self.unit.insert_many(moves)
        self.unit.insert_many([
            self.build(Line, {"opportunity_id": deal.id, "position": place, **values}, deal.created_at)
            for deal, its_lines in lines for place, values in enumerate(its_lines)
        ])  # fmt: skip
        return deals

    def deal(self, party: _Party, title: str, products: list[Product]) -> tuple[Opportunity, list[dict[str, Any]]]:
        """One deal and its lines; about half have some."""
        stage, chance = self.stages[title], self.chance
        rate = ILS if party.country.currency == "ILS" else Decimal(1)
        started = self.ago(chance.randint(20, 60) if stage.kind == "open" else chance.randint(60, 330))
        lines = [
            {"product_id": product.id, "description": product.name,
             "price": round((product.price or Decimal(0)) * rate),
             "quantity": Decimal(chance.choice((1, 2, 4, 12, 24))), "discount": Decimal(chance.choice((0, 0, 5, 10)))}
            for product in chance.sample(products, chance.randint(1, 3))
        ] if chance.random() < 0.5 else []  # fmt: skip
        amount = sum((_worth(line) for line in lines), Decimal(0))
        if not lines and (title != "New" or chance.random() < 0.6):
            amount = Decimal(chance.randint(6, 240) * 250) * round(rate)
        values: dict[str, Any] = {
            "name": chance.choice(party.country.deals),
            "customer_id": party.customer.id, "contact_id": party.contact.id if party.contact else None,
            "stage_id": stage.id, "amount": amount or None, "currency": party.country.currency,
            "owner_id": party.seller.id, "team_id": party.seller.team_id, "source": chance.choice(SOURCES),
            "product_id": lines[0]["product_id"] if lines else None, "started_on": started.date(),
            "stage_entered_at": started, "expected_close_on": self.today + dt.timedelta(days=chance.randint(-5, 90)),
        }  # fmt: skip
        if stage.kind == "open" and chance.random() < 0.8:
            values["next_step"] = chance.choice(party.country.steps)
            values["next_step_on"] = self.today + dt.timedelta(days=chance.choice((-6, -2, 0, 0, 1, 2, 3, 5, 8, 13)))
        if stage.kind != "open":
            values["reason"] = chance.choice(WON_FOR if stage.kind == "won" else LOST_FOR)
            values["competitor"] = chance.choice(COMPETITORS) if values["reason"] in {"price", "competitor"} else ""
            values["probability"] = 100 if stage.kind == "won" else 0
        return self.build(Opportunity, values, started), lines

    def way(self, deal: Opportunity, title: str, party: _Party) -> list[Transition]:
        """The moves that brought a deal where it is; its dates follow from the last one."""
        path = ["New", "Qualified", "Proposal", "Negotiation"]
        if title in path:
            path = path[: path.index(title) + 1]
        elif title == "Won":
            path.append("Won")
        else:
            path = [*path[: self.chance.randint(1, 4)], "Lost"]
        at, moves = deal.created_at, []
        spare = (self.now - at) / max(len(path), 1)
        for before, after in itertools.pairwise(path):
            entered, at = at, at + spare * self.chance.uniform(0.5, 1.0)
            at = max(entered, _office_hour(at, self.now, self.chance))
            moves.append(self.build(Transition, {
                "entity": ENTITY, "record_id": deal.id, "source_id": self.stages[before].id,
                "target_id": self.stages[after].id, "at": at, "actor_id": party.seller.id,
                "seconds": int((at - entered).total_seconds()),
            }, at))  # fmt: skip
        deal.stage_entered_at = deal.updated_at = at
        if self.stages[title].kind != "open":
            deal.closed_on = deal.expected_close_on = at.date()
        return moves

    # What was offered and ordered --------------------------------------------------------------------------------

    def papers(self, deals: list[tuple[Opportunity, _Party]]) -> None:
        """Quotes of what is being negotiated, and orders of what was won: some went through at the first attempt."""
        talked = {self.stages["Proposal"].id, self.stages["Negotiation"].id}
        offered = [(deal, party) for deal, party in deals if deal.stage_id in talked and deal.product_id]
        for number, (deal, party) in enumerate(offered[:8]):
            quote = quote_for(self.unit, deal)
            if number % 4:
                quote.status, quote.sent_at = "sent", self.ago(self.chance.randint(1, 12))
            if number % 4 == 2:
                quote.status, quote.answered_at = "accepted", self.now
                quote.answered_by = str(party.contact or party.customer)
        won = [(deal, party) for deal, party in deals if deal.stage_id == self.stages["Won"].id and deal.product_id]
        for number, (deal, party) in enumerate(won[:10]):
            order = self.unit.create(Order, {
                "customer_id": deal.customer_id, "contact_id": deal.contact_id, "opportunity_id": deal.id,
                "subject": deal.name, "currency": deal.currency, "owner_id": deal.owner_id, "team_id": deal.team_id,
                "address": party.customer.address, "ordered_on": deal.closed_on,
            })  # fmt: skip
            for line in self.unit.reader.all(Line, Line.opportunity_id == deal.id, order=Line.position):
                self.unit.create(OrderLine, {"order_id": order.id, **copied(line)})
            order.status, order.placed_at = ("placed" if number % 4 else "fulfilled"), self.now
            order.loops = (0, 0, 1, 0, 2)[number % 5]
        self.unit.flush()

    # What was said ---------------------------------------------------------------------------------------------------

    def talk(self, parties: list[_Party], deals: list[tuple[Opportunity, _Party]]) -> None:
        """Calls, mails, meetings and notes, about the deals and beside them."""
        said: list[Interaction] = []
        for deal, party in deals:
            until = self.now if deal.closed_on is None else deal.stage_entered_at
            for _ in range(self.chance.choice((2, 3, 3, 4))):
                at = deal.created_at + (until - deal.created_at) * self.chance.random()
                said.append(self.interaction(party, at, {"about_entity": ENTITY, "about_id": deal.id}))
        for party in parties:
            said.append(self.interaction(party, self.ago(self.chance.randint(1, 140)), {}))
        said.sort(key=lambda each: each.at)
        self.unit.insert_many(said)

    def interaction(self, party: _Party, at: dt.datetime, about: Mapping[str, Any]) -> Interaction:
        """One contact, in the customer's language, within office hours."""
        country, chance = party.country, self.chance
        kind = chance.choice(("call", "call", "email", "email", "meeting", "note"))
        words = {"call": country.calls, "email": country.mails, "meeting": country.meetings}
        subject, body = chance.choice(words[kind]) if kind in words else ("", chance.choice(country.notes))
        at = _office_hour(at, self.now, chance)
        return self.build(Interaction, {
            "customer_id": party.customer.id, "kind": kind, "at": at, "subject": subject, "body": body,
            "direction": chance.choice(("out", "out", "in")) if kind in {"call", "email"} else "",
            "minutes": {"call": chance.randint(2, 25), "meeting": chance.choice((30, 45, 60, 90))}.get(kind),
            "owner_id": party.seller.id, "team_id": party.seller.team_id, **about,
        }, at)  # fmt: skip

    def tasks(self, deals: list[tuple[Opportunity, _Party]]) -> None:
        """The next steps as tasks, and some that are done."""
        tasks: list[Task] = []
        for deal, party in deals:
            done = deal.closed_on is not None
            if len(tasks) >= 80 or (not done and deal.next_step_on is None):
                continue
            due = deal.closed_on or deal.next_step_on
            made = self.ago(self.chance.randint(8, 15)) if not done else deal.created_at
            tasks.append(self.build(Task, {
                "title": deal.next_step or self.chance.choice(party.country.steps), "due_on": due,
                "customer_id": party.customer.id, "owner_id": party.seller.id, "team_id": party.seller.team_id,
                "priority": self.chance.choice(("normal", "normal", "normal", "high", "low")),
                "done_at": deal.stage_entered_at if done else None, "about_entity": ENTITY, "about_id": deal.id,
            }, made))  # fmt: skip
        self.unit.insert_many(tasks)

    # Who may buy -----------------------------------------------------------------------------------------------------

    def leads(self, deals: list[tuple[Opportunity, _Party]]) -> None:
        """Twelve leads of each language; the converted ones are customers by now."""
        leads = []
        for country in COUNTRIES:
            people, firms = country.people, country.firms
            theirs = [(deal, party) for deal, party in deals if party.country is country and party.contact is not None]
            for number, status in enumerate(LEADS):
                given, _, handle, _ = people[number]
                _, family, other, _ = people[(number + 5) % len(people)]
                at = self.ago(self.chance.randint(0, 3) if status == "new" else self.chance.randint(4, 60))
                name = family + given if country.language == "zh" else f"{given} {family}"
                values: dict[str, Any] = {
                    "name": name, "email": f"{handle.split('.')[0]}.{other.split('.')[1]}@example.net",
                    "company": firms[number % len(firms)][0] if number % 4 == 3 else "", "phone": self.phone(country),
                    "status": status, "rating": self.chance.choice(("", "hot", "warm", "warm", "cold")),
                    "source": self.chance.choice(SOURCES), "interest": self.chance.choice(country.interests),
                    "note": self.chance.choice(country.lead_notes), **self.of(country, number),
                }  # fmt: skip
                if status == "converted":
                    deal, party = theirs[0]
                    assert party.contact is not None
                    values |= {"name": party.contact.name, "email": party.contact.email, "company": party.customer.name,
                               "converted_at": deal.created_at, "customer_id": party.customer.id,
                               "contact_id": party.contact.id, "opportunity_id": deal.id}  # fmt: skip
                    at = deal.created_at - dt.timedelta(days=6)
                leads.append(self.build(Lead, values, at))
        self.unit.insert_many(sorted(leads, key=lambda lead: lead.created_at))

    # Tools -----------------------------------------------------------------------------------------------------------

    def build(self, entity: type[E], values: Mapping[str, Any], at: dt.datetime) -> E:
        """A valid record, as if it had been made at that time."""
        record, problems = self.unit.build(entity, {"created_at": at, "updated_at": at, **values})
        assert not problems, f"{entity.meta.name} {values}: {problems}"
        return record

    def ago(self, days: int) -> dt.datetime:
        """An hour of the office, so many days ago."""
        return _office_hour(self.now - dt.timedelta(days=days), self.now, self.chance)


def _office_hour(at: dt.datetime, now: dt.datetime, chance: random.Random) -> dt.datetime:
    """On a weekday between eight and five, and never later than now."""
    at -= dt.timedelta(days=max(0, at.weekday() - 4))
    return min(at.replace(hour=chance.randint(8, 16), minute=chance.randint(0, 59), second=0, microsecond=0), now)


def _worth(line: Mapping[str, Any]) -> Decimal:
    kept: Decimal = line["quantity"] * line["price"] * (100 - line["discount"]) / 100
    return kept.quantize(Decimal("0.01"))


def _sellers(unit: Unit) -> list[_Seller]:
    """The people in teams; where there are none, four of ours, who get a password by a reset link or the demo."""
    known = unit.reader.all(Membership, limit=100)
    if not known:
        teams = {team: unit.create(Team, {"name": team}) for team in dict.fromkeys(row[4] for row in SALESPEOPLE)}
        for name, email, language, zone, team in SALESPEOPLE:
            create_user(unit, name=name, email=email, teams=[teams[team]], language=language, time_zone=zone)
        known = unit.reader.all(Membership, limit=100)
    people = {user.id: user for user in unit.reader.all(User, User.active.is_(True))}
    return [_Seller(each.user_id, each.team_id, people[each.user_id].language)
            for each in known if each.user_id in people]  # fmt: skip
