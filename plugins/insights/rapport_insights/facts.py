"""What can be told of customers: their fields, how long they are there, what they bought, and what befell them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from rapport import Customer, Field, Reader, Site
from rapport import gettext as _
from rapport_insights.features import EMPTY, OTHERS, Feature
from rapport_insights.purchases import Purchases

AT_ONCE = 500
NUMBERS = {"integer", "decimal", "money"}
VALUES = {"text", "choice", "flag", "url"}
FILLED = {"email", "phone"}
"""Nobody's address repeats; that there is one tells something."""
DAYS = {"date", "instant"}
NAMES = {"name", "given_name", "family_name", "reference", "time_zone"}
SINCE = "created_at"
WINDOWS = (30, 90, 365)
PURCHASES = "purchases."


def suits(field: Field) -> bool:
    """Whether a field can be learned from: short, and told by people or programs, not worked out here."""
    ours = field.extension.startswith("insights.")
    return (
        field.kind in NUMBERS | VALUES | FILLED | {"address", "date"} and field.name not in NAMES
        and not (field.readonly or field.secret or field.hidden or ours)
    )  # fmt: skip


def fields_of(site: Site, without: Sequence[str] = (), *, custom: bool = True) -> list[str]:
    """The customer's fields to learn from. Without custom ones, where they may have been filled in after the fact."""
    known = site.meta(Customer).fields.values()
    names = [each.name for each in known if suits(each) and (custom or not (each.custom or each.extension))]
    return [name for name in (*names, SINCE) if name not in without]


def customers(reader: Reader) -> Iterator[list[Customer]]:
    """All customers that are not archived, some at a time, the oldest first."""
    last: UUID | None = None
    while True:
        after = () if last is None else (Customer.id > last,)
        some = reader.all(Customer, Customer.archived_at.is_(None), *after, order=Customer.id, limit=AT_ONCE)
        if not some:
            return
        last = some[-1].id
        yield some
        reader.session.expunge_all()


def values_of(site: Site, names: Sequence[str], record: Customer, on: dt.date) -> dict[str, Any]:
    """What the fields of a customer say, in a plain form. Days become how long ago they were."""
    meta, values = site.meta(Customer), dict[str, Any]()
    for name in names:
        field = meta.fields.get(name)
        value = None if field is None else getattr(record, name)
        if field is None or value is None or value == "":
            values[name] = None
        elif field.kind in NUMBERS:
            values[name] = float(value)
        elif field.kind in FILLED:
            values[name] = "filled"
        elif field.kind in DAYS:
            day = value.date() if isinstance(value, dt.datetime) else value
            values[name] = float((on - day).days)
        elif field.kind == "address":
            values[name] = value.get("country") or None
        else:
            values[name] = str(value).strip() or None
    return values


def bought(purchases: Purchases, on: dt.date) -> dict[Any, dict[str, Any]]:
    """What every customer's purchases up to a day say: how long ago, how often, for how much, of late and ever."""
    rows: dict[Any, list[tuple[dt.date, Decimal]]] = {}
    for customer, day, amount in purchases.rows:
        if day <= on:
            rows.setdefault(customer, []).append((day, amount))
    found = {}
    for customer, own in rows.items():
        days = [day for day, _amount in own]
        last, first = (on - days[-1]).days, (on - days[0]).days
        gap = (first - last) / (len(own) - 1) if len(own) > 1 else None
        facts: dict[str, Any] = {
            "last": float(last), "first": float(first), "days": float(len(own)),
            "spent": float(sum(amount for _day, amount in own)), "overdue": last / gap if gap else None,
        }  # fmt: skip
        for window in WINDOWS:
            late = [amount for day, amount in own if (on - day).days < window]
            facts |= {f"days_{window}": float(len(late)), f"spent_{window}": float(sum(late))}
        found[customer] = {PURCHASES + name: value for name, value in facts.items()}
    return found


# In words ------------------------------------------------------------------------------------------------------------


def in_words(site: Site, feature: Feature | None, name: str, bucket: str) -> str:
    """A fact as people say it: “Contract: month to month”, “Days since the last purchase: more than 90”."""
    field = site.meta(Customer).fields.get(name)
    return f"{label_of(site, name)}: {_said(field, feature, bucket)}"


def label_of(site: Site, name: str) -> str:
    """What a fact is called."""
    field = site.meta(Customer).fields.get(name)
    if name == SINCE:
        return _("Days since we know them")
    if field is not None:
        if field.kind == "date":
            return _("%(label)s, days ago", label=_(field.label))
        return _("Country") if field.kind == "address" else _(field.label)
    if name.startswith(PURCHASES):
        what, _line, window = name.removeprefix(PURCHASES).partition("_")
        label = {
            "last": _("Days since the last purchase"), "first": _("Days since the first purchase"),
            "days": _("Days with a purchase"), "spent": _("Spent so far"),
            "overdue": _("Since the last purchase, beside the usual time between two"),
        }.get(what, what)  # fmt: skip
        return _("%(what)s, last %(num)s days", what=label, num=window) if window else label
    measure, _at, window = name.rpartition("@")
    if measure in site.measures:
        return _("%(what)s, last %(num)s days", what=_(site.measures[measure].title), num=window)
    return name


def _said(field: Field | None, feature: Feature | None, bucket: str) -> str:
    if bucket == EMPTY:
        return _("empty")
    if bucket == OTHERS:
        return _("something rare")
    if feature is not None and feature.edges:
        low, high = feature.range(bucket)
        if low is None:
            return _("up to %(high)s", high=f"{high:g}")
        if high is None:
            return _("more than %(low)s", low=f"{low:g}")
        return _("more than %(low)s, up to %(high)s", low=f"{low:g}", high=f"{high:g}")
    if field is not None and field.kind in FILLED and bucket == "filled":
        return _("known")
    if field is not None and field.kind == "flag":
        return _("Yes") if bucket == "True" else _("No")
    known = next((choice.label for choice in field.choices if choice.value == bucket), None) if field else None
    return _(known) if known else bucket


def reasons_in_words(site: Site, parameters: Mapping[str, Any], reasons: Sequence[Any]) -> list[dict[str, Any]]:
    """Kept reasons as a page shows them: text, by how much the odds are multiplied or divided, and which of both."""
    features = {each["name"]: Feature.of(each) for each in parameters.get("chances", {}).get("features", ())}
    return [
        {"text": in_words(site, features.get(name), name, bucket), "more": times > 1, "times": max(times, 1 / times)}
        for name, bucket, times in reasons
    ]  # fmt: skip
