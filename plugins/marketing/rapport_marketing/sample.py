"""Believable marketing to try: four campaigns of a year, segments, a bought list, answers, and what they brought."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rapport import Customer, Task, Unit, User, utcnow
from rapport_marketing import segments, strategy
from rapport_marketing.campaigns import Asset, AssetVersion, Budget, Campaign, Cost, Response, Sale, TeamMember
from rapport_marketing.executions import Execution, Variant
from rapport_marketing.forms import Form
from rapport_marketing.lists import CustomerList, put_on_list
from rapport_marketing.segments import Segment

MOST = 60
NEWCOMERS = (("Noémie Laurent", "fr"), ("یاسمن کریمی", "fa"), ("דנה לוי", "he"), ("王芳", "zh"), ("Grace Obi", "en"))
CAMPAIGNS: tuple[dict[str, Any], ...] = (
    {"name": "Spring clean", "code": "SPRING", "from": -150, "to": -90, "status": "finished", "budget": 6000,
     "costs": (("print", 1800), ("postage", 1150), ("design", 900)), "answers": 14, "sales": 9},
    {"name": "عید نوروز", "code": "NOWRUZ", "from": -70, "to": -30, "status": "finished", "budget": 2500,
     "costs": (("media", 1400), ("event", 700)), "answers": 8, "sales": 3},
    {"name": "Portes ouvertes", "code": "PORTES", "from": -20, "to": 25, "status": "running", "budget": 4200,
     "costs": (("event", 1250), ("list", 900)), "answers": 6, "sales": 2},
    {"name": "Winter service", "code": "WINTER", "from": 30, "to": 90, "status": "planned", "budget": 3000,
     "costs": (), "answers": 0, "sales": 0},
)  # fmt: skip
KINDS = ("reply", "call", "form", "visit", "no_interest")
TEAM = ("Lead", "Design", "Calls")


def load(unit: Unit) -> None:
    """Put it in, the same every time but for the days, which count from today."""
    people = unit.reader.all(Customer, Customer.archived_at.is_(None), order=Customer.id, limit=MOST) or [
        unit.create(Customer, {"name": name, "language": language, "email": f"{language}@newcomers.example"})
        for name, language in NEWCOMERS
    ]
    users = unit.reader.all(User, User.active.is_(True), order=User.id, limit=len(TEAM))
    bought = _lists(unit, people)
    _segments(unit)
    today = unit.reader.today()
    for year in sorted({today.year, (today + dt.timedelta(days=30)).year, (today - dt.timedelta(days=150)).year}):
        unit.create(Budget, {"year": str(year), "amount": "24000"})
    chance = random.Random(2026)  # noqa: S311 - a story, not a secret
    made = [_campaign(unit, facts, people, users, today, chance) for facts in CAMPAIGNS]
    _mailing(unit, made[2], bought)
    ids = [each.id for each in people]
    strategy.decide(unit, ids, strategy.profits_of(unit.reader, ids))


def _lists(unit: Unit, people: Sequence[Customer]) -> CustomerList:
    bought = unit.create(CustomerList, {
        "name": "Households with a garden", "kind": "bought", "source": "Garden panel", "vendor": "Data & Sons",
        "cost": "900", "basis": "consent", "proof": "“I want to hear of offers for house and garden.”",
        "obtained_on": (unit.reader.today() - dt.timedelta(days=40)).isoformat(),
        "expires_on": (unit.reader.today() + dt.timedelta(days=325)).isoformat(),
    })  # fmt: skip
    put_on_list(unit, bought, [each.id for each in people[::3]])
    friends = unit.create(CustomerList, {"name": "Came to the open day", "source": "Open day"})
    put_on_list(unit, friends, [each.id for each in people[1::7]])
    return bought


def _segments(unit: Unit) -> None:
    for name, condition in (("Those we invest in", 'marketing_decision = "invest"'), ("People", 'kind = "person"')):
        segments.track(unit, unit.create(Segment, {"name": name, "filter": condition}))


def _campaign(
    unit: Unit, facts: dict[str, Any], people: Sequence[Customer], users: Sequence[User], today: dt.date,
    chance: random.Random,
) -> Campaign:  # fmt: skip
    begin, end = (today + dt.timedelta(days=facts[edge]) for edge in ("from", "to"))
    campaign = unit.create(Campaign, {
        "name": facts["name"], "code": facts["code"], "status": facts["status"], "budget": facts["budget"],
        "planned_from": begin, "planned_to": end, "owner_id": users[0].id if users else None,
        "actual_from": begin if facts["status"] != "planned" else None,
        "actual_to": end if facts["status"] == "finished" else None,
    })  # fmt: skip
    if facts["status"] != "planned":
        campaign.budget_state = "approved"
        unit.flush()
    for user, role in zip(users, TEAM, strict=False):
        unit.create(TeamMember, {"campaign_id": campaign.id, "user_id": user.id, "role": role})
    asset = unit.create(Asset, {"campaign_id": campaign.id, "name": "Leaflet"})
    for _version in range(2):
        unit.create(AssetVersion, {"asset_id": asset.id})
    for number, (kind, amount) in enumerate(facts["costs"]):
        on = begin + dt.timedelta(days=5 * number)
        unit.create(Cost, {"campaign_id": campaign.id, "kind": kind, "amount": amount, "on": on})
    if facts["status"] == "planned":
        unit.create(Task, {"title": "Meet the designers", "due_on": begin, "about_entity": "marketing.campaign",
                           "about_id": campaign.id, "owner_id": campaign.owner_id})  # fmt: skip
    answered = chance.sample(list(people), min(facts["answers"], len(people)))
    for number, customer in enumerate(answered):
        at = dt.datetime.combine(begin + dt.timedelta(days=2 + number), dt.time(10), dt.UTC)
        unit.create(Response, {"campaign_id": campaign.id, "customer_id": customer.id, "at": min(at, utcnow()),
                               "kind": KINDS[number % len(KINDS)]})  # fmt: skip
    for number, customer in enumerate(answered[: facts["sales"]]):
        revenue = Decimal(chance.randrange(400, 3200))
        unit.create(Sale, {"campaign_id": campaign.id, "customer_id": customer.id, "revenue": revenue,
                           "profit": revenue * Decimal("0.42"),
                           "on": min(begin + dt.timedelta(days=9 + number), today)})  # fmt: skip
    return campaign


def _mailing(unit: Unit, campaign: Campaign, bought: CustomerList) -> None:
    mailing = unit.create(Execution, {
        "campaign_id": campaign.id, "name": "Invitation", "list_id": bought.id, "channel": "email",
        "subject": "Come and see us, {{ customer.name }}",
        "body": "Dear {{ customer.name }},\n\nour doors are open all month. {{ business.name }} would be glad to see "
                "you{% if customer.city != '' %} from {{ customer.city }}{% endif %}.",
    })  # fmt: skip
    for name, subject in (("A", "Come and see us, {{ customer.name }}"), ("B", "{{ campaign.name }}: you are invited")):
        unit.create(Variant, {"execution_id": mailing.id, "name": name, "subject": subject})
    unit.create(Form, {
        "title": "Come to our open day", "campaign_id": campaign.id, "fields": ["name", "email", "phone", "message"],
        "text": "Tell us who you are, and we keep a chair for you.", "thanks": "See you soon!",
        "consent_text": "You may write to me about offers and news. I can take this back at any time.",
    })  # fmt: skip
