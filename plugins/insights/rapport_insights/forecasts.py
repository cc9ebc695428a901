"""What will be sold, and how many will call: a measure of the past, period by period, and how it goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rapport import N_, Invalid, Problem
from rapport import gettext as _
from rapport_insights.kinds import Scores, Trained, Work
from rapport_insights.measured import moments
from rapport_insights.outlook import Forecast
from rapport_insights.scores import ACTOR
from rapport_insights.series import Forecast as Expected
from rapport_insights.series import forecast

MOST = 2000
"""The latest periods are enough to learn from."""


@dataclass(frozen=True, slots=True)
class Step:
    """By what time is told: how many make a season, and how many are foretold."""

    season: int
    horizon: int


STEPS = {"hour": Step(168, 168), "day": Step(7, 14), "week": Step(52, 8), "month": Step(12, 6)}
WAYS = {
    "naive": N_("as it was a season ago"), "level": N_("by its level"), "trend": N_("by its level and trend"),
    "damped": N_("by its level and a trend that dies away"), "season": N_("by its level and the season"),
    "season_trend": N_("by its level, trend and the season"),
    "season_damped": N_("by its level, the season and a trend that dies away"),
    "times_season": N_("by its level times the season"),
    "times_season_trend": N_("by its level and trend, times the season"),
}  # fmt: skip


def train_sales(work: Work) -> Trained:
    """Foretell what is sold, by week or month."""
    return _train(work, "sales_forecast", counts=False)


def train_calls(work: Work) -> Trained:
    """Foretell how many call, by day or by the hour of the week."""
    return _train(work, "call_forecast", counts=True)


def go_on_sales(work: Work, parameters: Mapping[str, Any]) -> Scores:
    """Foretell sales anew from what has happened since. No customer gets a score."""
    _foretell(work, "sales_forecast", counts=False)
    return {}


def go_on_calls(work: Work, parameters: Mapping[str, Any]) -> Scores:
    """Foretell calls anew from what has happened since. No customer gets a score."""
    _foretell(work, "call_forecast", counts=True)
    return {}


def _train(work: Work, kind: str, *, counts: bool) -> Trained:
    told = _foretell(work, kind, counts=counts)
    found = told.found
    errors = {
        "MASE": {"model": round(found.mase, 4), "baseline": round(found.naive_mase, 4)},
        "sMAPE": {"model": round(found.smape, 4), "baseline": round(found.naive_smape, 4)},
    }
    parameters = {
        "measure": told.measure, "by": told.by, "way": found.way, "season": told.season, "currency": told.currency,
        "covered": round(found.covered, 4), "origins": found.origins,
    }  # fmt: skip
    return Trained(parameters, told.periods, told.until, errors, _told(found))


@dataclass(frozen=True, slots=True)
class _Told:
    """What was foretold, of which measure, and from how much."""

    found: Expected
    measure: str
    by: str
    season: int
    currency: str
    periods: int
    until: dt.date


def _foretell(work: Work, kind: str, *, counts: bool) -> _Told:
    """Foretell, and put the new figures in the place of the former ones."""
    name = str(work.site.settings.get(f"insights.{kind}_of") or "")
    by = str(work.site.settings.get(f"insights.{kind}_by"))
    happened, currency = moments(work, name)
    periods, values = periods_of(happened, by, work.today)
    step = STEPS[by]
    season = step.season if len(values) >= 2 * step.season + 2 * step.horizon or by in {"day", "hour"} else 1
    try:
        found = forecast(values, season, step.horizon, counts=counts,
                         tell=lambda done, total: work.tell(done, total, _("Trying the ways")))  # fmt: skip
    except ValueError:
        raise Invalid(Problem(None, _(
            "There are too few figures to learn from: %(num)s periods that are over, and %(horizon)s are to be "
            "foretold.", num=len(values), horizon=step.horizon,
        ))) from None  # fmt: skip
    _keep(work, kind, name, currency, following(periods[-1], by, step.horizon), found)
    return _Told(found, name, by, season, currency, len(values), periods[-1][0])


Period = tuple[dt.date, int]
"""The day on which it begins, and the hour."""


def periods_of(
    happened: Sequence[tuple[dt.date, int, float]], by: str, today: dt.date
) -> tuple[list[Period], list[float]]:
    """Every period that is over, also the empty ones, with what happened in it.

    The first may have begun before anything was kept, and is left out where it is a week or a month.
    """
    past = [(_start(day, hour, by), figure) for day, hour, figure in happened if day < today]
    if not past:
        raise Invalid(Problem(None, _("Nothing has happened yet that a forecast could be learned from.")))
    first, now = min(period for period, _figure in past), _start(today, 0, by)
    periods = [first, *following(first, by, None, until=now)]
    if by in {"week", "month"}:
        periods = periods[1:]
    sums = dict.fromkeys(periods[-MOST:], 0.0)
    for period, figure in past:
        if period in sums:
            sums[period] += figure
    return list(sums), list(sums.values())


def following(last: Period, by: str, many: int | None, until: Period | None = None) -> list[Period]:
    """The next periods: so many, or all before `until`."""
    found: list[Period] = []
    day, hour = last
    while many is None or len(found) < many:
        if by == "hour":
            day, hour = (day, hour + 1) if hour < 23 else (day + dt.timedelta(days=1), 0)
        elif by == "month":
            day = (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
        else:
            day += dt.timedelta(days=7 if by == "week" else 1)
        if until is not None and (day, hour) >= until:
            break
        found.append((day, hour))
    return found


def _start(day: dt.date, hour: int, by: str) -> Period:
    if by == "week":
        return day - dt.timedelta(days=day.weekday()), 0
    if by == "month":
        return day.replace(day=1), 0
    return day, hour if by == "hour" else 0


def _keep(work: Work, kind: str, measure: str, currency: str, coming: Sequence[Period], found: Expected) -> None:
    """Put the new figures in the place of the former ones."""
    with work.site.write(ACTOR) as unit:
        former = {(row.starts_on, row.hour): row for row in unit.reader.all(Forecast, Forecast.kind == kind)}
        made = []
        for at, (day, hour) in enumerate(coming):
            row = former.pop((day, hour), None)
            if row is None:
                row = Forecast(kind=kind, starts_on=day, hour=hour)
                made.append(row)
            row.measure, row.currency = measure, currency
            row.low, row.expected, row.high = (
                _figure(found.low[at]),
                _figure(found.expected[at]),
                _figure(found.high[at]),
            )
        for row in former.values():
            unit.delete(row)
        unit.session.add_all(made)
        unit.flush()


def _figure(value: float) -> Decimal:
    return Decimal(str(round(value, 2)))


def _told(found: Expected) -> str:
    way = _(WAYS[found.way])
    if found.better:
        good = _("It is foretold %(way)s, and that is %(num)s better than as it was a season ago.", way=way,
                 num=f"{100 * (1 - found.mase / found.naive_mase):.0f} %")  # fmt: skip
    else:
        good = _("It is foretold %(way)s. No way was better than as it was a season ago: do not rely on it.", way=way)
    return good + " " + _(
        "Of the figures held out, %(share)s lay between low and high; 80 %% are meant.",
        share=f"{100 * found.covered:.0f} %",
    )  # fmt: skip
