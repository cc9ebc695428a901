"""Every page there is, found from the menus: whole, accessible, in light and dark, both directions, wide and phone."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.axe import AXE, violations
from tests.torture import LONG

from .conftest import ARTEFACTS, PHONE, WIDE

LOOKED_AT = {
    "home": "/", "customers": "/customer", "board": "/sales.opportunity/board", "opportunities": "/sales.opportunity",
    "new": "/customer/new", "settings": "/admin", "imports": "/import",
}  # fmt: skip
DOWNLOADS = (".csv", ".xlsx", ".pdf", ".ics", ".vcf", ".zip")


def pages(page: Any, half: int) -> Iterator[tuple[str, bool]]:
    """Go to every page in the menus and in the administration, and from every list to its first record.

    Says for each whether it is such a record's. One of two walks goes to each, in `make torture` both do.
    """
    menus = dict.fromkeys(["/", "/account", "/imports", "/import"])
    menus |= dict.fromkeys(page.eval_on_selector_all(".r-nav a, #quick-create a", "all => all.map(a => a.pathname)"))
    page.goto("/admin")
    menus |= dict.fromkeys(page.eval_on_selector_all("main a", "all => all.map(a => a.pathname)"))
    left, seen = list(menus), set(menus)
    while left:
        path = left.pop(0)
        kind = path.split("/")[1] or "home"
        if path.endswith(DOWNLOADS) or (not LONG and zlib.crc32(kind.encode()) % 2 != half):
            continue
        answer = page.goto(path)
        assert answer.status == 200, path
        yield path, path not in menus
        if path in menus:
            links = page.eval_on_selector_all("main td a, main .r-card a", "all => all.map(a => a.pathname)")
            record = next((each for each in links if each.count("-") == 4 and each not in seen), None)
            left += [record] if record else []
            seen.add(str(record))


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
    page.add_init_script(path=AXE)
    wrong: list[Any] = []
    looked_at = 0
    for path, of_a_record in pages(page, half=lang == "fa"):
        assert page.locator("h1").count() == 1, path
        # The menus around it are the same on every page, and the colours of one record are those of the others.
        within, contrast = "main" if looked_at else "html", LONG or not of_a_record
        wrong += [(path, each) for each in violations(page, within, contrast=contrast)]
        if page.evaluate("document.documentElement.scrollWidth") > size[0]:
            wrong.append((path, "is wider than the screen"))
        looked_at += 1
    assert looked_at > 30
    assert wrong == []


@pytest.mark.parametrize(
    ("lang", "theme", "size"),
    [("en", "light", WIDE), ("fr", "dark", PHONE), ("fa", "light", WIDE), ("he", "dark", PHONE), ("zh", "light", WIDE)],
    ids=str,
)
def test_pictures_of_the_main_pages_are_kept_to_be_looked_at(
    sign_in: Any, lang: str, theme: str, size: tuple[int, int]
) -> None:
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
