"""Duplicates: who may be the same person or organisation, found as one types, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rapidfuzz.fuzz import ratio, token_sort_ratio
from sqlalchemy import or_, select

from rapport.customers.model import ContactPoint, Customer
from rapport.i18n.catalogs import _
from rapport.query.fold import fold
from rapport.records import Reader

CLOSE = 88
"""Names at least this alike (0 to 100, words in any order) are suggested."""
CANDIDATES = 200


@dataclass(frozen=True, slots=True)
class Match:
    """A customer that may be the one being entered: how sure (0 to 100) and why."""

    id: UUID
    name: str
    score: int
    reason: str


def find_duplicates(reader: Reader, values: Mapping[str, Any], *, exclude: UUID | None = None) -> list[Match]:
    """Customers like these values, best first, at most five; only those the actor may see.

    The same e-mail address or phone number is nearly certain; names are compared folded, in any order of words.
    """
    found: dict[UUID, Match] = {}
    email, phone = _text(values, "email").lower(), _text(values, "phone")
    name = _text(values, "name") or f"{_text(values, 'given_name')} {_text(values, 'family_name')}".strip()
    for match in _by_address(reader, email, phone):
        found.setdefault(match.id, match)
    for match in _by_name(reader, name):
        found.setdefault(match.id, match)
    if exclude is not None:
        found.pop(exclude, None)
    return sorted(found.values(), key=lambda match: (-match.score, match.name))[:5]


def _by_address(reader: Reader, email: str, phone: str) -> list[Match]:
    given = [value for value in (email, phone) if value]
    if not given:
        return []
    points = select(ContactPoint.customer_id).where(ContactPoint.value.in_(given))
    rows = reader.session.execute(
        select(Customer.id, Customer.name, Customer.email)
        .where(
            or_(Customer.email.in_(given), Customer.phone.in_(given), Customer.id.in_(points)),
            Customer.archived_at.is_(None),
        )
        .limit(20)
    )
    return [
        Match(
            row.id,
            row.name,
            99,
            _("the same e-mail") if email and row.email == email else _("the same number or address"),
        )
        for row in rows
    ]


def _by_name(reader: Reader, name: str) -> list[Match]:
    key = fold(name)
    if len(key) < 2:
        return []
    ids = [record_id for _entity, record_id, _title in reader.search(name, entities=["customer"], limit=CANDIDATES)]
    begins = key.split()[0][:3]
    prefix = select(Customer.id).where(Customer.name_key >= begins, Customer.name_key < begins + "\U0010ffff")
    rows = reader.session.execute(
        select(Customer.id, Customer.name, Customer.name_key)
        .where(or_(Customer.id.in_(ids), Customer.id.in_(prefix.limit(CANDIDATES))), Customer.archived_at.is_(None))
    )  # fmt: skip
    matches = []
    for row in rows:
        # Words in any order; and without spaces, which Chinese leaves out and Persian writes in two ways.
        score = int(max(token_sort_ratio(key, row.name_key), ratio(_joined(key), _joined(row.name_key))))
        if score >= CLOSE:
            matches.append(
                Match(row.id, row.name, min(score, 95), _("the same name") if score == 100 else _("a similar name"))
            )
    return matches


def _joined(key: str) -> str:
    return "".join(key.split())


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value.strip() if isinstance(value, str) else ""
