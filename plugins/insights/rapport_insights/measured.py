"""What happened with customers in a stretch of time, by the measures that plugins bring: orders, cases, calls."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rapport_insights.kinds import Work


def windows(work: Work, on: dt.date) -> dict[Any, dict[str, float]]:
    """By customer, every measure that customers tell apart, for the 30, 90 and 365 days up to a day."""
    return {}
