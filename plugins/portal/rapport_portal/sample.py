"""A month of visits for trying the portal out: quiet Sundays, and a campaign that brings a peak."""

from __future__ import annotations

import datetime as dt

from rapport import Unit
from rapport_portal.visits import Visit

PAGES = (
    ("www.example.com", "/", "", 40),
    ("www.example.com", "/products", "www.search.example", 18),
    ("portal", "/portal/", "", 9),
)
"""Web site, page, where people came from, and visits of an ordinary day."""
CAMPAIGN, BEGUN, BOOST = "spring", 12, (60, 95, 70, 45, 30, 20, 15)
"""A campaign's code, how many days ago it went out, and the visits it brought on the days after."""


def load(unit: Unit) -> None:
    """Counts of thirty days. They carry no names: nobody agreed to it."""
    today = unit.reader.today()
    for ago in range(30):
        day = today - dt.timedelta(days=ago)
        share = 0.5 if day.weekday() == 6 else 0.8 + (ago * 7 % 5) / 10
        for site, page, referrer, usual in PAGES:
            _add(unit, day, site, page, round(usual * share), referrer=referrer)
        after = BEGUN - ago
        if 0 <= after < len(BOOST):
            _add(unit, day, "www.example.com", "/spring", BOOST[after], campaign=CAMPAIGN)


def _add(
    unit: Unit, day: dt.date, site: str, page: str, visits: int, *, referrer: str = "", campaign: str = ""
) -> None:
    unit.session.add(
        Visit(day=day, site=site, page=page, referrer=referrer, campaign=campaign, visits=visits, views=visits * 3)
    )
