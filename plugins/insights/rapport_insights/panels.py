"""What insights shows on other pages: of a customer from their purchases, of a model beside its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from rapport import Formats, Panel, Reader
from rapport import gettext as _
from rapport_insights import wording
from rapport_insights.entities import SEGMENTS, Score
from rapport_insights.purchases import said_of_left_out

Facts = Mapping[str, Any]


def panels() -> list[Panel]:
    """What is known from purchases."""
    return [
        Panel("customer.side", "What their purchases say", "insights/customer.html", customer_facts,
              icon="chart-bubble", order=22),
        Panel("insights.model.main", "Error on data held out", "insights/errors.html", model_facts,
              "insights.model.read", "ruler-measure", 10),
        Panel("dashboard", "Customers by their purchases", "insights/segments.html", segment_facts, "customer.read",
              "chart-bubble", 40),
    ]  # fmt: skip


def customer_facts(reader: Reader, record: Any) -> Facts:
    """A customer's segment and value, with the reasons in sentences. Nothing where there are no purchases."""
    settings = reader.site.settings
    if record.insights_rfm_segment is None and record.insights_lifetime_value is None:
        return {"sentences": ()}
    actor: Any = reader.actor
    formats = Formats(actor.language, actor.time_zone, actor.calendar or None)
    currency = str(settings.get("core.currency"))
    label, color = wording.segment_label(record.insights_rfm_segment or "")
    return {
        "label": label, "color": color, "meaning": wording.meaning(record.insights_rfm_segment or ""),
        "sentences": wording.explained(record, formats, currency, int(settings.get("insights.months") or 12)),
        "alive": record.insights_alive_chance,
    }  # fmt: skip


def model_facts(reader: Reader, record: Any) -> Facts:
    """The errors beside those of a plain way, and what was not counted."""
    return {
        "measured": wording.measured(record.errors or {}),
        "groups": (record.parameters or {}).get("groups") or (),
        "left_out": said_of_left_out((record.parameters or {}).get("left_out") or {}),
    }  # fmt: skip


def segment_facts(reader: Reader) -> Facts:
    """The segments as a card of a dashboard."""
    return {"segments": segments(reader), "currency": str(reader.site.settings.get("core.currency"))}


def segments(reader: Reader) -> list[dict[str, Any]]:
    """How many of the customers within the reader's reach are in each segment, what they spent, and may bring yet."""
    if not reader.actor.may("customer.read"):
        return []
    rows = reader.session.execute(
        select(Score.rfm_segment, func.count(), func.sum(Score.spent), func.sum(Score.lifetime_value))
        .where(Score.rfm_segment.is_not(None)).group_by(Score.rfm_segment)
    )  # fmt: skip
    found = {segment: figures for segment, *figures in rows}
    return [
        {"value": each.value, "label": _(each.label), "color": each.color, "meaning": wording.meaning(each.value),
         **dict(zip(("count", "money", "ahead"), found[each.value], strict=True))}
        for each in SEGMENTS if each.value in found
    ]  # fmt: skip
