"""Months: when a warranty ends, and which purchases are a month old today."""

from __future__ import annotations

import calendar
import datetime as dt


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day so many months later; the last day of that month where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def months_ago(today: dt.date, months: int) -> dt.date:
    """The latest day that is at least so many months past: `add_months(it, months)` is today or before."""
    earlier = add_months(today, -months)
    last_of_month = (today + dt.timedelta(days=1)).day == 1
    return earlier.replace(day=calendar.monthrange(earlier.year, earlier.month)[1]) if last_of_month else earlier
