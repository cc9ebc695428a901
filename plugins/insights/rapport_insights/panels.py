"""What insights shows on other pages: of a customer from their purchases, of a model beside its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rapport import Formats, Panel, Reader
from rapport_insights import wording
from rapport_insights.purchases import said_of_left_out

Facts = Mapping[str, Any]


def panels() -> list[Panel]:
    """What is known from purchases."""
    return [
        Panel("customer.side", "What their purchases say", "insights/customer.html", customer_facts,
              icon="chart-bubble", order=22),
        Panel("insights.model.main", "Error on data held out", "insights/errors.html", model_facts,
              "insights.model.read", "ruler-measure", 10),
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
