"""Every page there is, found from the menus: whole, accessible, in light and dark, both directions, wide and phone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.axe import violations

from .conftest import ARTEFACTS, PHONE, WIDE

LOOKED_AT = {
    "home": "/", "customers": "/customer", "board": "/sales.opportunity/board", "opportunities": "/sales.opportunity",
    "new": "/customer/new", "settings": "/admin", "imports": "/import",
}  # fmt: skip


def pages(page: Any) -> list[str]:
    """Addresses in the menus and in the administration, and for every list its first record."""
    found = dict.fromkeys(["/", "/account", "/imports", "/import"])
    found |= dict.fromkeys(page.eval_on_selector_all(".r-nav a, #quick-create a", "all => all.map(a => a.pathname)"))
    page.goto("/admin")
    found |= dict.fromkeys(page.eval_on_selector_all("main a", "all => all.map(a => a.pathname)"))
    for path in list(found):
        page.goto(path)
        records = page.eval_on_selector_all("main td a, main .r-card a", "all => all.map(a => a.pathname)")
        found |= dict.fromkeys([each for each in records if each.count("-") == 4][:1])
    return [path for path in found if "." not in path.rpartition("/")[2] or path.startswith("/sales")]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("lang", "theme", "size"),
    [("en", "light", WIDE), ("fa", "dark", PHONE)],
    ids=["english", "persian-dark-phone"],
)
def test_axe_finds_nothing_on_any_page_and_nothing_is_cut_off(
    sign_in: Any, lang: str, theme: str, size: tuple[int, int]
) -> None:
    page = sign_in(lang=lang, theme=theme, size=size)
    every = pages(page)
    assert len(every) > 30
    wrong: list[Any] = []
    for path in every:
        answer = page.goto(path)
        assert answer.status == 200, path
        assert page.locator("h1").count() == 1, path
        wrong += [(path, each) for each in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth") > size[0]:
            wrong.append((path, "is wider than the screen"))
    assert wrong == []


@pytest.mark.parametrize("lang", ["en", "fr", "fa", "he", "zh"])
def test_pictures_of_the_main_pages_are_kept_to_be_looked_at(sign_in: Any, lang: str) -> None:
    for theme, size in (("light", WIDE), ("dark", PHONE)):
        page = sign_in(lang=lang, theme=theme, size=size)
        direction = page.evaluate("document.documentElement.dir")
        assert direction == ("rtl" if lang in {"fa", "he"} else "ltr")
        for name, path in LOOKED_AT.items():
            page.goto(path)
            kept = ARTEFACTS / lang / f"{name}-{theme}-{size[0]}.png"
            page.screenshot(path=kept)
            assert kept.stat().st_size > 5000
        page.goto("/customer")
        page.locator("main td a").first.click()
        page.locator(".r-timeline, .r-facts").first.wait_for()
        page.screenshot(path=ARTEFACTS / lang / f"customer-{theme}-{size[0]}.png")
