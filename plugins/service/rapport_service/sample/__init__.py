"""A believable help desk to try service with: queues, agreed times, articles, and cases in five languages."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any

from rapport import Customer, Interaction, Membership, Team, Unit, User, utcnow
from rapport_service.cases import ENTITY
from rapport_service.entities import Case
from rapport_service.knowledge import Article
from rapport_service.macros import Macro
from rapport_service.queues import Agent, Queue
from rapport_service.sla import Escalation, Hours, Sla, Target

WORDS = {
    "en": (
        ("My order has not arrived", "It was to come on Monday. Where is it?", "question"),
        ("The manual is missing", "The box had everything but the manual.", "request"),
        ("It makes a strange noise", "Since yesterday it hums, louder every hour.", "problem"),
        ("The colour is not what I ordered", "I ordered grey, and got black.", "complaint"),
        ("A scratch on the cover", "It came with a long scratch.", "quality"),
    ),
    "fr": (
        ("Ma facture est fausse", "Vous avez facturé deux pièces au lieu d’une.", "complaint"),
        ("Il ne démarre plus", "Depuis ce matin, rien ne se passe.", "problem"),
        ("Quand livrez-vous ?", "J’attends depuis dix jours.", "question"),
    ),
    "fa": (
        ("دستگاه روشن نمی‌شود", "از دیروز هیچ چراغی روشن نیست.", "problem"),
        ("فاکتور می‌خواهم", "لطفاً دوباره بفرستید.", "request"),
    ),
    "he": (("המשלוח לא הגיע", "חיכיתי כל היום.", "complaint"), ("איך מנקים את המסנן?", "לא מצאתי במדריך.", "question")),
    "zh": (("机器有噪音", "昨天开始声音越来越大。", "problem"), ("请寄发票", "我需要一张新的发票。", "request")),
}  # fmt: skip
ANSWERS = {
    "en": "Thank you for telling us. We look into it today.",
    "fr": "Merci de nous l’avoir dit. Nous regardons cela.",
    "fa": "سپاس از پیام شما. امروز بررسی می‌کنیم.",
    "he": "תודה שכתבתם. נבדוק עוד היום.",
    "zh": "谢谢您的来信，我们今天就查。",
}
ARTICLES = (
    ("It hums or makes a noise", "Switch it off and check that it stands level. If the noise stays, clean the filter.",
     "en", "Use", "portal"),
    ("Clean the filter", "Once a month: take it out, rinse it with cold water, let it dry, put it back.", "en", "Use",
     "portal"),
    ("Where is my order?", "Open the link in the mail by which we confirmed the order.", "en", "Orders", "portal"),
    ("When to refund at once", "Up to 50 without asking anybody. Above, ask your manager.", "en", "Inside", "agents"),
)  # fmt: skip
FRENCH = (
    "Nettoyer le filtre",
    "Une fois par mois : retirez-le, rincez-le à l’eau froide, laissez sécher.",
    "fr",
    "Usage",
)
STATUSES = ("new", "open", "open", "pending", "hold", "solved", "solved", "closed", "closed", "closed")


def load(unit: Unit) -> None:
    """Put them in, the same every time but for the days, which count back from today."""
    chance = random.Random(7)  # noqa: S311 - a story, not a secret
    team, agents = _people(unit)
    queues = _laid_out(unit, team)
    people = unit.reader.all(Customer, Customer.archived_at.is_(None), limit=30) or [
        unit.create(Customer, {"name": "Ada Byron", "email": "ada@example.org", "language": "en"})
    ]
    now = utcnow().replace(second=0, microsecond=0)
    for number in range(36):
        _case(unit, people[number % len(people)], number, agents, queues, now, chance)


def _people(unit: Unit) -> tuple[Team, list[User]]:
    team = unit.create(Team, {"name": "Customer service"})
    agents = unit.reader.all(User, User.active.is_(True), User.archived_at.is_(None), order=User.name, limit=4)
    for at, user in enumerate(agents):
        unit.create(Membership, {"team_id": team.id, "user_id": user.id})
        skills = ["complaints"] if at % 2 == 0 else []
        unit.create(Agent, {"user_id": user.id, "skills": skills, "capacity": 8})
    return team, agents


def _laid_out(unit: Unit, team: Team) -> dict[str, Queue]:
    hours = unit.create(Hours, {"name": "Office hours", "zone": "Europe/Paris", "friday": "9-16"})
    sla = unit.create(Sla, {"name": "Standard", "hours_id": hours.id})
    unit.create(Target, {"sla_id": sla.id, "first_response": 240, "next_response": 480, "resolution": 2400})
    unit.create(Target, {"sla_id": sla.id, "priority": "urgent", "first_response": 60, "resolution": 480})
    unit.create(Escalation, {"sla_id": sla.id, "goal": "resolution", "minutes_before": 60})
    unit.create(Macro, {"name": "Ask for the number", "status": "pending",
                        "text": "Dear {{ customer.name }},\n\nplease send us the number below the cover.\n\n"
                                "{{ agent.name }}"})  # fmt: skip
    unit.create(Macro, {"name": "Sorry, and solved", "status": "solved", "kind": "complaint",
                        "text": "Dear {{ customer.name }},\n\nwe are sorry, and have put it right.\n\n"
                                "{{ agent.name }}"})  # fmt: skip
    heads = [unit.create(Article, {"title": title, "body": body, "language": language, "topic": topic,
                                   "audience": audience, "status": "published"})
             for title, body, language, topic, audience in ARTICLES]  # fmt: skip
    title, body, language, topic = FRENCH
    unit.create(Article, {"title": title, "body": body, "language": language, "topic": topic, "audience": "portal",
                          "status": "published", "of_id": heads[1].id})  # fmt: skip
    complaints = {"name": "Complaints", "skills": ["complaints"], "filter": 'kind in ("complaint", "quality")'}
    return {
        "complaint": unit.create(Queue, {**complaints, "team_id": team.id}),
        "": unit.create(
            Queue, {"name": "Questions", "team_id": team.id, "position": 1, "filter": 'kind != "complaint"'}
        ),
    }


def _case(
    unit: Unit, customer: Customer, number: int, agents: Sequence[User], queues: dict[str, Queue], now: dt.datetime,
    chance: random.Random,
) -> None:  # fmt: skip
    language = customer.language if customer.language in WORDS else "en"
    subject, text, kind = WORDS[language][number % len(WORDS[language])]
    status = STATUSES[number % len(STATUSES)]
    done = status in {"solved", "closed"}
    opened = now - dt.timedelta(hours=chance.randint(60, 1500) if done else chance.randint(1, 30))
    answered = None if status == "new" else opened + dt.timedelta(minutes=chance.randint(10, 50))
    owner = agents[number % len(agents)] if agents and status != "new" else None
    values: dict[str, Any] = {
        "customer_id": customer.id, "subject": subject, "description": text, "kind": kind, "status": status,
        "priority": chance.choice(("normal", "normal", "normal", "high", "urgent", "low")), "channel": "email",
        "opened_at": opened, "first_response_at": answered,
        "queue_id": queues.get(kind if kind == "complaint" else "", queues[""]).id,
        "solved_at": opened + dt.timedelta(hours=chance.randint(1, 55)) if done else None,
        "owner_id": owner.id if owner is not None else None,
    }  # fmt: skip
    case, problems = unit.build(Case, values)
    assert not problems
    case.owner_id = values["owner_id"]
    unit.session.add(case)
    unit.flush()
    said = [("in", opened, text), *([("out", answered, ANSWERS[language])] if answered is not None else [])]
    for direction, at, words in said:
        unit.create(Interaction, {
            "customer_id": customer.id, "kind": "email", "direction": direction, "at": at, "body": words,
            "subject": subject if direction == "in" else f"Re: {subject}", "about_entity": ENTITY, "about_id": case.id,
            "owner_id": values["owner_id"],
        })  # fmt: skip
