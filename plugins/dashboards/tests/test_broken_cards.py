"""A card that asks what cannot be asked is its maker's mistake."""

from __future__ import annotations

from typing import Any

from rapport_dashboards import Card, Dashboard

from rapport.hooks import BREAKER_LIMIT


def test_opening_a_badly_made_card_again_and_again_takes_nothing_from_anybody(boards: Any) -> None:
    app = boards.app
    member = app.user("Mo Member")
    with app.site.write(member) as unit:  # as a program may: the form asks for more
        dashboard = unit.create(Dashboard, {"name": "Mine"})
        card = unit.create(Card, {"dashboard_id": dashboard.id, "title": "Badly made", "shape": "bar", "question": ""})
    browser = app.browser(member)
    for _ in range(BREAKER_LIMIT + 1):
        assert browser.get(f"/dashboards/{dashboard.id}/card/{card.id}").status_code == 200
    assert "dashboards" not in app.site.hooks.out
