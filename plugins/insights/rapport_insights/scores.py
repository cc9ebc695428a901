"""How scores reach customers: in batches, through units of work, so that everybody hears; and only what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import Customer, Extension, Site, Unit, batched, system
from rapport_insights.kinds import Scores

ACTOR = system("insights")


def write_scores(
    site: Site, into: type[Extension], fields: Sequence[str], scores: Scores,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:  # fmt: skip
    """Give customers their scores; returns how many have some, and how many rows changed.

    A customer without a score loses a former one. Customers that are gone meanwhile are passed by.
    """
    with site.read(ACTOR) as reader:
        columns = [getattr(into, name) for name in fields]
        kept = {row[0]: row[1:] for row in reader.session.execute(select(into.of_id, *columns))}
        there = set(reader.session.scalars(select(Customer.id)))
    nothing: dict[str, Any] = {}
    wrong = [
        each for each in sorted(there & {*scores, *kept})
        if kept.get(each) != tuple(scores.get(each, nothing).get(name) for name in fields)
    ]  # fmt: skip
    changed = done = 0
    for some in batched(wrong):
        with site.write(ACTOR) as unit:
            changed += _write(unit, into, fields, some, scores)
        done += len(some)
        tell(done, len(wrong))
    return sum(each in scores for each in there), changed


def _write(unit: Unit, into: type[Extension], fields: Sequence[str], ids: Sequence[UUID], scores: Scores) -> int:
    rows = {row.of_id: row for row in unit.session.scalars(select(into).where(into.of_id.in_(ids)))}
    there = set(unit.session.scalars(select(Customer.id).where(Customer.id.in_(ids))))
    changed = 0
    for customer_id in ids:
        if customer_id not in there:
            continue
        values = scores.get(customer_id, {})
        row = rows.get(customer_id)
        if row is None:
            row = into(of_id=customer_id)
            unit.session.add(row)
        changed += _assign(row, fields, values)
    return changed


def _assign(row: Any, fields: Sequence[str], values: Mapping[str, Any]) -> bool:
    wrong = [name for name in fields if getattr(row, name) != values.get(name)]
    for name in wrong:
        setattr(row, name, values.get(name))
    return bool(wrong)
