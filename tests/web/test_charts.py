"""Charts: every type drawn in both directions and themes under the strict policy, told as a table too, printed and saved."""

# ruff: noqa: E501 - sample figures are easiest to read one a line

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rapport.builtin.web.design import STATIC
from tests.axe import violations
from tests.web.test_design_system import Page, Site, fragment, render, serve

MONTHS = {
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug"],
    "fa": ["فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور", "مهر", "آبان"],
}
PLACES = {
    "en": ["Isfahan", "Shiraz", "Tabriz", "Haifa", "Hamburg"],
    "fa": ["اصفهان", "شیراز", "تبریز", "حیفا", "هامبورگ"],
}


FEW = ("bar", "stacked", "line")
"""Enough for tests that change the theme or the window: the browser draws all of them anew."""


def charts(lang: str) -> dict[str, dict[str, Any]]:
    x, places = MONTHS[lang], PLACES[lang]
    money = {"unit": "money", "currency": "EUR"}
    return {
        "bar": {"type": "bar", "title": "Won", "x": x, "series": [{"name": "Won", "data": [42000, 51000, 38500, 61200, 74800, None, 69000, 81000], "links": ["#a"] * 8}], "target": 60000, **money},
        "stacked": {"type": "bar", "title": "Won by place", "x": x, "series": [{"name": place, "stack": "all", "data": [(at + 3) * (step + 2) % 9 + 2 for step in range(8)]} for at, place in enumerate(places)], "unit": "integer"},
        "lying": {"type": "bar", "horizontal": True, "title": "By place", "x": places, "series": [{"name": "Won", "data": [81000, 62000, 33000, 21000, 9000]}], **money},
        "line": {"type": "line", "title": "Calls", "x": x, "series": [{"name": place, "data": [(at + 2) * (step + 3) % 11 for step in range(8)]} for at, place in enumerate(places[:3])], "unit": "integer"},
        "area": {"type": "area", "title": "Win rate", "x": x, "series": [{"name": "Win rate", "data": [0.2, 0.25, 0.22, 0.31, 0.3, 0.36, 0.41, 0.4]}, {"name": "The year before", "compared": True, "data": [0.18, 0.2, 0.21, 0.25, 0.27, 0.28, 0.3, 0.31]}], "unit": "percent", "target": 0.35},
        "pie": {"type": "pie", "title": "Channels", "x": places, "series": [{"name": "Orders", "data": [50, 30, 12, 6, 2]}], "unit": "integer"},
        "funnel": {"type": "funnel", "title": "Pipeline", "x": ["Leads", "Qualified", "Proposal", "Won"], "series": [{"name": "Count", "data": [420, 230, 110, 46]}], "unit": "integer"},
        "heatmap": {"type": "heatmap", "title": "When calls come", "x": x, "series": [{"name": place, "data": [(at * 5 + step * 3) % 17 for step in range(8)]} for at, place in enumerate(places)], "unit": "integer"},
        "scatter": {"type": "scatter", "title": "Discount and won", "x": [], "x_title": "Discount", "x_unit": "percent", "series": [{"name": "Won", "data": [[at / 100, 12000 + 900 * at * (at % 5), f"Deal {at}"] for at in range(18)]}], **money},
        "gauge": {"type": "gauge", "title": "Adoption", "x": [], "series": [{"name": "Adoption", "data": [0.64]}], "unit": "percent", "target": 0.8},
        "pareto": {"type": "pareto", "title": "Reasons of losses", "x": places, "series": [{"name": "Lost", "data": [6, 31, 12, 3, 18]}], "unit": "integer"},
    }  # fmt: skip


def test_the_same_figures_stand_below_a_chart_as_a_table() -> None:
    page = render("charts.html", charts=charts("en"))
    figure = page[page.index('id="chart-bar"') : page.index('id="chart-stacked"')]
    assert re.findall(r'<th scope="row">(\w+)</th>', figure) == MONTHS["en"]
    assert 'data-number="42000" data-unit="money" data-currency="EUR">42000<' in figure
    assert 'data-number="" data-unit="money" data-currency="EUR">–<' in figure  # nothing is not zero
    told = page[page.index('id="told"') :]
    assert '<td class="r-num">€ 1</td>' in told
    ids = Page(page).ids
    assert sorted(ids) == sorted(set(ids))


def test_what_a_chart_says_is_escaped() -> None:
    hostile = """"><script>alert(1)</script>'<marquee>"""
    spec = {"type": "bar", "title": hostile, "x": [hostile], "series": [{"name": hostile, "data": [1]}]}
    page = render("charts.html", charts={"bar": spec})
    assert "<script>alert" not in page
    assert "<marquee" not in page
    figure = next(facts for tag, facts in Page(page).tags if tag == "figure")
    assert json.loads(str(figure["data-chart"])) == spec


def test_the_script_of_charts_stays_small() -> None:
    import gzip

    if not (STATIC / "charts.js").exists():
        pytest.skip("needs the built assets (make assets)")
    assert len(gzip.compress((STATIC / "charts.js").read_bytes())) < 250_000


# In a browser ---------------------------------------------------------------------------------------------------------


class Charts(Site):
    """Serves the page of charts, and one more chart to those who ask later."""

    def page(self, path: str, lang: str, theme: str) -> bytes | None:
        if path in ("/charts", "/few", "/none"):
            few = {
                name: spec
                for name, spec in charts(lang).items()
                if path == "/charts" or (path == "/few" and name in FEW)
            }
            return render("charts.html", lang=lang, theme=theme, charts=few).encode()
        if path == "/later":
            return fragment(
                """{{ ui.chart({"type": "bar", "title": "Later", "x": ["a"], "series": [{"name": "s", "data": [3]}]}, id="late") }}"""
            )
        return None


@pytest.fixture
def open_charts(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens the charts, waits until all are drawn, and insists at the end that the browser had nothing to complain about."""
    if not (STATIC / "test" / "axe.min.js").exists():
        pytest.skip("needs the built assets (make assets)")
    complaints: list[str] = []
    contexts = []
    with serve(Charts) as (address, _moves):

        def opened(
            lang: str = "en", theme: str = "light", size: tuple[int, int] = (1440, 900), path: str = "/charts"
        ) -> Any:
            context = chromium.new_context(
                viewport={"width": size[0], "height": size[1]},
                reduced_motion="reduce",
                bypass_csp=False,
                accept_downloads=True,
            )
            contexts.append(context)
            page = context.new_page()
            page.on(
                "console",
                lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None,
            )
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(f"{address}{path}?lang={lang}&theme={theme}")
            for figure in page.locator("[data-chart]").all():
                figure.locator("[data-drawing] svg path").first.wait_for(state="attached")
            return page

        yield opened
        for context in contexts:
            context.close()
    assert complaints == []


@pytest.mark.parametrize(
    ("lang", "theme", "size"),
    [("en", "light", (1440, 900)), ("fa", "dark", (390, 844))],
)  # fmt: skip
def test_every_type_is_drawn_and_axe_finds_nothing(
    open_charts: Callable[..., Any], lang: str, theme: str, size: tuple[int, int]
) -> None:
    page = open_charts(lang, theme, size)
    if folder := os.environ.get("RAPPORT_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/charts-{lang}-{theme}-{size[0]}.png", full_page=True)
    assert page.locator("[data-drawing] svg").count() == len(charts(lang)) + 1
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_persian_charts_begin_at_the_right_and_count_in_persian(open_charts: Callable[..., Any]) -> None:
    page = open_charts("fa", path="/few")
    drawing = page.locator("#chart-line [data-drawing]")
    where = drawing.evaluate(
        "box => Object.fromEntries([...box.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect().x]))"
    )
    assert where["فروردین"] > where["آبان"]
    assert not re.search(r"[0-9]", "".join(where))
    page.locator("#chart-bar summary").click()
    written = re.sub("[\u200e\u200f]", "", page.locator("#chart-bar td").first.inner_text())
    assert written == "۴۲٬۰۰۰\u00a0€", "the number, then the sign, as the pages write it"


def test_a_chart_follows_the_theme_the_window_and_what_htmx_brings(open_charts: Callable[..., Any]) -> None:
    from playwright.sync_api import expect

    page = open_charts(path="/few")
    drawing = page.locator("#chart-line [data-drawing]")
    text = drawing.locator("text").first
    before = text.get_attribute("fill")
    page.evaluate("document.documentElement.dataset.bsTheme = 'dark'")
    expect(text).not_to_have_attribute("fill", before)
    page.set_viewport_size({"width": 700, "height": 900})
    expect(drawing.locator("svg")).to_have_attribute("width", str(drawing.evaluate("box => box.clientWidth")))
    page.evaluate("htmx.ajax('GET', '/later', '#later')")
    page.locator("#late [data-drawing] svg").wait_for()


def test_a_chart_printed_is_light_with_its_figures_beside_it(open_charts: Callable[..., Any]) -> None:
    page = open_charts("en", "dark", path="/few")
    look = "({ink: document.querySelector('#chart-line [data-drawing] text').getAttribute('fill'), open: document.querySelector('#chart-line details').open})"
    before = page.evaluate(look)
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {look}; }})")
    page.pdf()
    printed = page.evaluate("printed")
    assert printed["open"] is True
    assert sum(map(int, re.findall(r"\d+", printed["ink"]))) < sum(map(int, re.findall(r"\d+", before["ink"])))
    assert page.evaluate(look) == before


def test_a_chart_is_saved_as_a_picture_and_as_a_drawing(open_charts: Callable[..., Any], tmp_path: Path) -> None:
    page = open_charts("fa", "dark", path="/few")
    for title, ending, begins in (("As a picture (PNG)", "png", b"\x89PNG"), ("As a drawing (SVG)", "svg", b"<svg")):
        page.locator("#chart-stacked").get_by_role("button", name="Save the chart").click()
        with page.expect_download() as coming:
            page.get_by_role("menuitem", name=title).click()
        kept = tmp_path / f"chart.{ending}"
        coming.value.save_as(kept)
        assert coming.value.suggested_filename == f"won-by-place.{ending}"
        assert kept.read_bytes().startswith(begins)
        assert len(kept.read_bytes()) > 5_000
        if folder := os.environ.get("RAPPORT_SCREENSHOTS"):
            (Path(folder) / f"saved.{ending}").write_bytes(kept.read_bytes())
    from xml.etree import ElementTree

    names = [each.text for each in ElementTree.parse(tmp_path / "chart.svg").iter() if each.text and each.text.strip()]
    assert "Won by place" in names
    assert "اصفهان" in names


def test_a_page_without_a_chart_does_not_load_the_script(open_charts: Callable[..., Any]) -> None:
    page = open_charts(path="/none")
    page.locator("html[data-ready]").wait_for()
    assert page.locator("script[src*='charts.js']").count() == 0
