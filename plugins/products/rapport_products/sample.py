"""A believable catalogue to try products with: what a maker of solar plants sells, in euros and in shekels."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from rapport import Entity, Unit, utcnow
from rapport_products.entities import Price, PriceBook, Product

E = TypeVar("E", bound=Entity)
ILS = Decimal("3.9")
PRODUCTS = (
    ("Helia 430 solar module", "HEL-430", "Modules", "189", "128", "piece"),
    ("Helia 510 solar module", "HEL-510", "Modules", "235", "159", "piece"),
    ("Roof mounting set", "MNT-R", "Mounting", "64", "38", "module"),
    ("Flat roof mounting set", "MNT-F", "Mounting", "79", "47", "module"),
    ("Carport canopy", "CAN-2", "Mounting", "6900", "4750", "two places"),
    ("Inverter 10 kW", "INV-10", "Electronics", "1790", "1240", "piece"),
    ("Inverter 30 kW", "INV-30", "Electronics", "3850", "2710", "piece"),
    ("Battery 10 kWh", "BAT-10", "Storage", "4900", "3550", "piece"),
    ("Battery 40 kWh", "BAT-40", "Storage", "16900", "12400", "piece"),
    ("Balcony set", "BAL-800", "Sets", "690", "468", "set"),
    ("Heat pump 12 kW", "HP-12", "Heat", "11800", "8100", "piece"),
    ("Yearly service", "SRV-1", "Service", "320", "140", "year"),
)
"""Name, code, family, price and unit cost in euros, unit."""
BOOKS = (("Prices in euros", "EUR", Decimal(1)), ("מחירון בשקלים", "ILS", ILS))
STEPS = ((Decimal(1), Decimal(1)), (Decimal(20), Decimal("0.93")))
"""From how many on, which part of the list price."""


def load(unit: Unit) -> None:
    """Put the catalogue in."""
    catalogue(unit)


def catalogue(unit: Unit) -> list[Product]:
    """The twelve products of the sample business, in order; made with this year's prices unless they are there."""
    codes = [code for _, code, *_ in PRODUCTS]
    known = {each.code: each for each in unit.reader.all(Product, Product.code.in_(codes))}
    if len(known) == len(codes):
        return [known[code] for code in codes]
    products = [
        _build(unit, Product, {"name": name, "code": code, "family": family, "price": Decimal(price),
                               "cost": Decimal(cost), "unit": of, "currency": "EUR"}, 400)
        for name, code, family, price, cost, of in PRODUCTS if code not in known
    ]  # fmt: skip
    unit.insert_many(products)
    year = utcnow().date().replace(month=1, day=1)
    for name, currency, rate in BOOKS:
        book = unit.create(PriceBook, {"name": f"{name} {year.year}", "currency": currency, "valid_from": year})
        unit.insert_many([
            _build(unit, Price, {"price_book_id": book.id, "product_id": product.id, "min_quantity": quantity,
                                 "price": round((product.price or Decimal(0)) * rate * factor)}, 300)
            for product in products for quantity, factor in STEPS
        ])  # fmt: skip
    made = {each.code: each for each in products} | known
    return [made[code] for code in codes]


def _build(unit: Unit, entity: type[E], values: Mapping[str, Any], days: int) -> E:
    """A valid record, as if it had been made so many days ago."""
    at = utcnow() - dt.timedelta(days=days)
    record, problems = unit.build(entity, {"created_at": at, "updated_at": at, **values})
    assert not problems, f"{entity.meta.name} {values}: {problems}"
    return record
