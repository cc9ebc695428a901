"""The dashboards that are there from the start, as people see them: whole, accessible, light and dark, both ways."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.axe import violations
from tests.torture import LONG

from .conftest import ARTEFACTS, PHONE, WIDE

DRAWN = """() => !document.querySelector(".dash-wait[role=status]")
  && [...document.querySelectorAll("[data-chart]")].every((each) => "drawn" in each.dataset)"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("lang", "theme", "size"), [("en", "light", WIDE), ("fa", "dark", PHONE)], ids=["english", "persian-dark-phone"]
)
def test_each_ready_dashboard_stands_and_its_picture_is_kept_to_be_looked_at(
    sign_in: Any, lang: str, theme: str, size: tuple[int, int]
) -> None:
    page = sign_in(lang=lang, theme=theme, size=size, path="/dashboards")
    boards = page.eval_on_selector_all(".dash-tabs a", "all => all.map(a => a.pathname)")
    ready = [each for each in boards if re.search(r"[0-9a-f]{8}-", each)]
    assert len(ready) >= 4
    wrong: list[Any] = []
    for number, path in enumerate(ready):
        if not LONG and number % 2 != (lang == "fa"):
            continue  # it is the other one's
        page.goto(path)
        page.wait_for_function(DRAWN)
        assert page.locator(".dash-card").count() >= 8, path
        assert page.locator(".dash-card .alert").count() == 0, path
        wrong += [(path, each) for each in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth") > size[0]:
            wrong.append((path, "is wider than the screen"))
        kept = ARTEFACTS / lang / f"dashboard-{number}-{theme}-{size[0]}.png"
        page.screenshot(path=kept, full_page=True)
        assert kept.stat().st_size > 5000
    assert wrong == []


def test_a_manager_asks_for_another_time_and_makes_a_card(sign_in: Any) -> None:
    page = sign_in(path="/dashboards")
    page.wait_for_function(DRAWN)
    page.locator("select[name=period]").select_option("this year")
    page.wait_for_url("**period=this+year**")
    page.wait_for_function(DRAWN)
    assert "This year" in page.locator(".dash-card .dash-foot").first.inner_text()
    page.goto("/dashboards/new")
    page.locator("input[name=name]").fill("My morning")
    page.locator("main form .btn-primary").click()
    page.locator("main a.btn-primary").first.click()
    page.locator("input[name=title]").fill("Won by month")
    page.locator("select[name=measure1]").select_option("sales.won_amount")
    page.locator("select[name=row]").select_option("date.month")
    page.locator("main form .btn-primary").click()
    # The form has no card and no chart that is not drawn: looked at before the next page is there, all seems well.
    page.locator(".dash-card [data-drawing] svg").wait_for()
    assert page.locator(".dash-card").count() == 1
