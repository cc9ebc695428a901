"""Believable customers in care: what they bought and returned, how satisfied they are, and what they suggest."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from decimal import Decimal

from rapport_products import Product

from rapport import Customer, Unit
from rapport_service import surveys
from rapport_service.care import CarePlan, CareStep
from rapport_service.entitlements import Entitlement
from rapport_service.registration import Registration
from rapport_service.returns import Return
from rapport_service.suggestions import Suggestion
from rapport_service.surveys import Invitation, Survey

STORES = ("Web shop", "Garden Centre North", "Bassin & Jardin", "خانه استخر تهران", "水上花园")
WORDS = {
    "en": ("Works as promised.", "The manual is hard to understand.", "A quieter motor would be nice."),
    "fr": ("Très content, merci.", "Le mode d’emploi n’est pas clair.", "Un moteur plus silencieux serait bien."),
    "fa": ("خیلی راضی هستم.", "دفترچه راهنما روشن نیست.", "موتور کم‌صداتر بهتر بود."),
    "he": ("מרוצים מאוד.", "המדריך לא ברור.", "מנוע שקט יותר היה עוזר."),
    "zh": ("非常满意。", "说明书不太容易看懂。", "希望电机更安静一些。"),
}
SUGGESTIONS = (
    ("product", "A filter one can wash", "Throwing filters away is a pity."),
    ("website", "Show which spare part fits", "I looked for half an hour."),
    ("service", "Call back within the day", "I waited for three days."),
    ("store", "Open on Saturday evenings", ""),
)


def load(unit: Unit) -> None:
    """Put them in, the same every time but for the days, which count back from today."""
    chance = random.Random(5)  # noqa: S311 - the same every time
    people = unit.reader.all(Customer, Customer.kind == "person", Customer.archived_at.is_(None), limit=24)
    products = _products(unit)
    if not people:
        return
    surveys.make_first(unit.session)  # it may not have been told yet that the module is on
    unit.flush()
    today = unit.reader.today()
    had = [_registered(unit, customer, products, today, chance, at) for at, customer in enumerate(people)]
    _asked(unit, people, had, today, chance)
    _returned(unit, had, chance)
    _entitled(unit, people[:6], today)
    _suggested(unit, people, products)
    _planned(unit)


def _products(unit: Unit) -> Sequence[Product]:
    products = unit.reader.all(Product, Product.archived_at.is_(None), limit=4)
    if not products:
        products = [unit.create(Product, {"name": "Pool skimmer", "code": "SK-1", "price": "89", "currency": "USD"})]
    for product in products:
        unit.update(product, {"service_warranty_months": 24, "service_return_days": 30})
    return products


def _registered(
    unit: Unit, customer: Customer, products: Sequence[Product], today: dt.date, chance: random.Random, at: int
) -> Registration:
    return unit.create(Registration, {
        "customer_id": customer.id, "product_id": products[at % len(products)].id,
        "serial": f"{chance.randint(10**7, 10**8 - 1)}", "purchased_on": today - dt.timedelta(days=20 + at * 37),
        "bought_at": chance.choice(STORES), "source": chance.choice(("card", "portal", "staff")),
    })  # fmt: skip


def _asked(
    unit: Unit, people: Sequence[Customer], had: Sequence[Registration], today: dt.date, chance: random.Random
) -> None:
    survey = unit.reader.all(Survey, Survey.name == surveys.MONTH_AFTER, limit=1)
    questions = surveys.questions_of(unit.reader, survey[0].id)
    for at, (customer, registration) in enumerate(zip(people, had, strict=True)):
        if at < 2:
            continue  # bought less than a month ago
        day = min(today, max(registration.purchased_on + dt.timedelta(days=30), today - dt.timedelta(days=50 - at)))
        made = unit.create(Invitation, {
            "survey_id": survey[0].id, "customer_id": customer.id, "product_id": registration.product_id,
            "registration_id": registration.id, "purchased_on": registration.purchased_on, "asked_on": day,
            "bought_at": registration.bought_at, "state": "call" if at % 6 == 5 else "sent",
        })  # fmt: skip
        if at % 3 == 2:
            continue
        middle = chance.choice((9, 9, 8, 8, 7, 10, 3)) if at != 3 else 3
        values: surveys.Values = {}
        for question in questions:
            if question.scale is None:
                words = WORDS.get(customer.language, WORDS["en"])
                values[question.id] = (None, words[0 if middle >= 8 else 1 if middle < 5 else 2])
            else:
                values[question.id] = (max(1, min(10, middle + chance.choice((-1, 0, 0, 1)))), "")
        made.expires_on = today
        surveys.answer(unit, made, values, by="link")
        made.answered_on = min(day + dt.timedelta(days=2), today)
    unit.flush()


def _returned(unit: Unit, had: Sequence[Registration], chance: random.Random) -> None:
    ways = (("defective", "repair"), ("mind", "refund"), ("wrong", "replacement"), ("quality", "replacement"))
    for at, (registration, (reason, wish)) in enumerate(zip(had, ways, strict=False)):
        made = unit.create(Return, {
            "customer_id": registration.customer_id, "product_id": registration.product_id,
            "registration_id": registration.id, "reason": reason, "wish": wish, "receipt": at % 2 == 1,
            "paid": Decimal(chance.randint(40, 200)) if at % 2 == 1 else None,
        })  # fmt: skip
        for status in ("approved", "received", "inspected")[:at]:
            unit.update(made, {"status": status})


def _entitled(unit: Unit, people: Sequence[Customer], today: dt.date) -> None:
    for at, customer in enumerate(people):
        unit.create(Entitlement, {
            "customer_id": customer.id, "kind": ("hours", "visits", "calls")[at % 3], "units": 5 + at,
            "valid_from": today - dt.timedelta(days=90), "valid_to": today + dt.timedelta(days=275 - 50 * at),
        })  # fmt: skip


def _suggested(unit: Unit, people: Sequence[Customer], products: Sequence[Product]) -> None:
    for at, (about, title, text) in enumerate(SUGGESTIONS):
        made = unit.create(Suggestion, {
            "title": title, "text": text, "about": about, "customer_id": people[at % len(people)].id,
            "product_id": products[0].id if about == "product" else None,
        })  # fmt: skip
        if at == 0:
            unit.update(made, {"status": "considered"})


def _planned(unit: Unit) -> None:
    plan = unit.create(CarePlan, {"name": "After the purchase", "begins": "purchase"})
    for days, kind, title in ((7, "call", "Does it work as it should?"), (30, "note", "Thank you, by hand"),
                              (330, "call", "The warranty ends soon")):  # fmt: skip
        unit.create(CareStep, {"care_plan_id": plan.id, "after_days": days, "kind": kind, "title": title})
