"""The figures of the portal that can be asked for by any dimension: how many come, and what they look at."""

from __future__ import annotations

from rapport import Dimension, Measure

VISIT = "portal.visit"


def measures() -> list[Measure]:
    """Every figure of the portal."""
    return [
        Measure("portal.visits", "Visits", of=VISIT, how="sum", value="visits", at="day"),
        Measure("portal.views", "Pages looked at", of=VISIT, how="sum", value="views", at="day"),
        Measure("portal.accounts", "Portal accounts", of="portal.account", help="By the day they were opened."),
    ]


def dimensions() -> list[Dimension]:
    """What is told apart in visits."""
    return [
        Dimension("portal.site", "Web site", of=VISIT, value="site"),
        Dimension("portal.page", "Page", of=VISIT, value="page"),
        Dimension("portal.campaign", "Campaign of the visit", of=VISIT, value="campaign"),
        Dimension("portal.referrer", "Where visitors come from", of=VISIT, value="referrer"),
    ]
