"""The scores of leads that sales trains stand among the models; insights shows them and trains none of its own."""

from __future__ import annotations

from typing import Any

import pytest
from rapport_sales import ScoreModel

from rapport import utcnow


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_lead_scores_stand_among_the_models(shop: Any):
    browser = shop.app.browser()
    assert "Lead scores" not in browser.get("/insights.model").get_data(as_text=True)
    with shop.app.site.write(shop.app.admin) as unit:
        unit.session.add(ScoreModel(name="2027-03", state="active", trained_at=utcnow(), told="It foretells better."))
    page = browser.get("/insights.model").get_data(as_text=True)
    assert "Lead scores" in page
    assert "It foretells better." in page
    viewer = shop.app.browser(shop.app.actors().viewer)
    assert "It foretells better." not in viewer.get("/insights.model").get_data(as_text=True)
