"""What is expected, on pages: of a customer beside their record, and how far a model can be relied upon on its own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import exp
from typing import Any

from sqlalchemy import select

from rapport import Formats, Panel, Reader
from rapport import gettext as _
from rapport_insights.entities import Model
from rapport_insights.facts import reasons_in_words
from rapport_insights.outlook import Forecast

Facts = Mapping[str, Any]
STRONGEST = 12
KINDS = ("sales_forecast", "call_forecast")
PRODUCT = "products.product"


def panels() -> list[Panel]:
    """What insights shows of churn, of suggestions and of forecasts."""
    return [
        Panel("customer.side", "Outlook", "insights/outlook.html", outlook_facts, icon="crystal-ball", order=25),
        Panel("insights.model.main", "How far to rely on it", "insights/churn_model.html", churn_model_facts,
              "insights.model.read", "chart-dots", 20),
        Panel("insights.model.main", "What is to come", "insights/forecast.html", forecast_facts,
              "insights.forecast.read", "chart-line", 15),
    ]  # fmt: skip


def outlook_facts(reader: Reader, record: Any) -> Facts:
    """How likely a customer leaves and why, and what they may buy next and why."""
    kept = record.insights_churn, record.insights_next_products
    if not any(each is not None for each in kept):
        return {"churn": None, "reasons": (), "products": ()}
    model = reader.session.scalars(_churn_in_use(reader)).first() if record.insights_churn is not None else None
    reasons = record.insights_churn_reasons or ()
    return {
        "churn": record.insights_churn,
        "reasons": reasons_in_words(reader.site, model.parameters, reasons) if model is not None else (),
        "products": [
            {"id": id_, "name": name, "beside": beside, "both": both, "of": of}
            for id_, name, beside, both, of in record.insights_next_products or ()
        ],
        "links": PRODUCT in reader.site.entities,
    }  # fmt: skip


def churn_model_facts(reader: Reader, record: Any) -> Facts:
    """Foretold and come true in ten groups, and what speaks most for and against leaving."""
    if record.kind != "churn" or not record.parameters.get("chances"):
        return {"groups": ()}
    kept = record.parameters["chances"]
    weights, at, strongest = kept["weights"], 0, []
    for feature in kept["features"] if weights else ():
        for bucket, share in zip(feature["buckets"], feature["shares"], strict=True):
            if share >= 0.01:
                strongest.append((feature["name"], bucket, weights[at] * kept["straight"][1]))
            at += 1
    strongest.sort(key=lambda each: -abs(each[2]))
    most = [(name, bucket, exp(weight)) for name, bucket, weight in strongest[:STRONGEST]]
    return {
        "groups": [{"told": told, "true": true, "count": num} for told, true, num in record.parameters["calibration"]],
        "strongest": reasons_in_words(reader.site, record.parameters, most), "trees": bool(kept["trees"]),
        "drift": record.drift,
    }  # fmt: skip


def forecast_facts(reader: Reader, record: Any) -> Facts:
    """What is expected, period by period, drawn; the table beside it also says at least and at most."""
    if record.kind not in KINDS or record.state != "current":
        return {"chart": None}
    rows = reader.all(Forecast, Forecast.kind == record.kind, order=(Forecast.starts_on, Forecast.hour))
    if not rows:
        return {"chart": None}
    formats = Formats(reader.actor.language, reader.actor.time_zone)
    currency, by = record.parameters.get("currency", ""), record.parameters.get("by", "day")
    title = _("Expected by hour") if by == "hour" else _("Expected")
    unit = {"unit": "money", "currency": currency} if currency else {"unit": "decimal"}
    days = sorted({row.starts_on for row in rows})
    shown: dict[str, Any] = {"title": title, "x": [formats.date(day, "short") for day in days], **unit}
    if by == "hour":
        figures = {(row.starts_on, row.hour): float(row.expected) for row in rows}
        busy = sorted({row.hour for row in rows if row.expected >= 0.05})
        hours = range(busy[0], busy[-1] + 1) if busy else range(0)
        series = [{"name": f"{hour:02}:00", "data": [figures.get((day, hour)) for day in days]} for hour in hours]
        return {"chart": {"type": "heatmap", "series": series, **shown}, "table": None, "hours": True}
    lines = {_("Expected"): "expected", _("At least"): "low", _("At most"): "high"}
    drawn: list[dict[str, Any]] = [
        {"name": name, "data": [float(getattr(row, attribute)) for row in rows], "compared": attribute != "expected"}
        for name, attribute in lines.items()
    ]  # fmt: skip
    said = [
        [formats.date(row.starts_on), *(_money(formats, each, currency) for each in (row.low, row.expected, row.high))]
        for row in rows
    ]  # fmt: skip
    columns = [_("From"), _("At least"), _("Expected"), _("At most")]
    return {"chart": {"type": "line", "series": drawn, **shown}, "table": {"columns": columns, "rows": said},
            "hours": False}  # fmt: skip


def _money(formats: Formats, figure: Decimal, currency: str) -> str:
    return formats.money(figure, currency) if currency else formats.number(round(figure, 1))


def _churn_in_use(reader: Reader) -> Any:
    return select(Model).where(Model.kind == "churn", Model.state == "current").order_by(Model.number.desc()).limit(1)
