"""What a customer may buy next: what those buy who bought the same. The lines of orders say who bought what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import Invalid, Problem
from rapport import gettext as _
from rapport_insights.basket import Baskets, try_out
from rapport_insights.kinds import Scores, Trained, Work
from rapport_insights.measured import counting

LINE, ORDER, PRODUCT = "sales.order_line", "sales.order", "products.product"
SOLD = ("placed", "fulfilled")
MOST = 5
"""So many suggestions are kept for each customer."""
ASKED = 10
FEWEST = 20
"""So many customers must have come again for the hit rate to say anything."""


def train(work: Work) -> Trained:
    """See how often what customers bought next was among the first suggestions, beside what most people buy."""
    rows = _rows(work)
    work.tell(0, 0, _("Learning"))
    hits = try_out(rows, ASKED)
    if hits.customers < FEWEST:
        raise Invalid(Problem(None, _(
            "Too few customers bought more than once: %(num)s, and %(fewest)s are needed.", num=hits.customers,
            fewest=FEWEST,
        )))  # fmt: skip
    good = _("It foretells better than what most customers buy.") if hits.model > hits.popular else (
        _("It does not foretell better than what most customers buy. Better not use it.")
    )  # fmt: skip
    note = _(
        "Of %(num)s customers who came again, %(model)s bought something new that was among the first %(most)s "
        "suggestions; of what most customers buy, %(plain)s.", num=hits.customers, most=ASKED,
        model=f"{100 * hits.model:.0f} %", plain=f"{100 * hits.popular:.0f} %",
    )  # fmt: skip
    errors = {f"Hit rate at {ASKED}": {"model": round(hits.model, 4), "baseline": round(hits.popular, 4)}}
    return Trained({}, len(rows), max(row[2] for row in rows), errors, f"{good} {note}")


def score(work: Work, parameters: Mapping[str, Any]) -> Scores:
    """For each customer, the products that are nearest to what they bought, with the reason."""
    rows = _rows(work)
    names = _on_sale(work)
    baskets: Baskets[UUID, UUID] = Baskets(rows)
    again = bool(work.site.settings.get("insights.suggest_again"))
    found = baskets.suggest(baskets.customers, MOST, offered=list(names), again=again)
    every = _names(work)
    return {
        who: {
            "next_product": names[suggested[0].item],
            "next_products": [
                [str(each.item), names[each.item], every.get(each.beside, ""), each.both, each.of] for each in suggested
            ],
        }
        for who, suggested in found.items() if suggested
    }  # fmt: skip


def _rows(work: Work) -> list[tuple[UUID, UUID, Any]]:
    """Who bought which product on which day."""
    entities = work.site.entities
    if LINE not in entities or PRODUCT not in entities:
        raise Invalid(Problem(None, _("Nothing on this site tells which products customers buy.")))
    line, order = _entity(work, LINE), _entity(work, ORDER)
    bought = (
        select(order.customer_id, line.product_id, order.ordered_on)
        .join(order, order.id == line.order_id)
        .where(order.status.in_(SOLD), order.archived_at.is_(None), line.archived_at.is_(None),
               line.product_id.is_not(None), order.ordered_on.is_not(None), line.quantity > 0)
    )  # fmt: skip
    with counting(work) as reader:
        rows = [(row[0], row[1], row[2]) for row in reader.session.execute(bought)]
    if not rows:
        raise Invalid(Problem(None, _("Nobody has ordered a product yet.")))
    return rows


def _on_sale(work: Work) -> dict[UUID, str]:
    product = _entity(work, PRODUCT)
    return _names(work, product.active.is_(True), product.archived_at.is_(None))


def _names(work: Work, *where: Any) -> dict[UUID, str]:
    product = _entity(work, PRODUCT)
    with counting(work) as reader:
        return {row[0]: row[1] for row in reader.session.execute(select(product.id, product.name).where(*where))}


def _entity(work: Work, name: str) -> Any:
    return work.site.entities[name]
