"""Languages: texts, dates, numbers, names and addresses, the way each reader and writer is used to them."""

from __future__ import annotations

import functools
import zoneinfo


@functools.cache
def time_zones() -> frozenset[str]:
    """The names of all time zones that this machine knows. It looks into six hundred files for them: once is enough."""
    return frozenset(zoneinfo.available_timezones())
