"""A manager asks by dragging, with a mouse and with a finger, keeps what was found, shares it and has it sent."""

from __future__ import annotations

from typing import Any

from tests.axe import violations

from .conftest import ARTEFACTS, PHONE

SALES = "/warehouse?measure=sales.won_amount&measure=sales.won"


def in_view(page: Any, name: str, place: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where a dimension and a place are on the screen, both at once."""
    page.locator("#w-more").evaluate("each => { each.open = true; }")
    page.locator("[data-zone=filter]").evaluate("each => each.scrollIntoView({block: 'center'})")
    item = page.locator(f'[data-dimension="{name}"] .r-grow')
    item.evaluate("each => { const list = each.closest('.w-list'); list.scrollTop = each.offsetTop - list.offsetTop; }")
    boxes = [each.bounding_box() for each in (item, page.locator(f"[data-zone={place}]"))]
    first, second = [(each["x"] + each["width"] / 2, each["y"] + each["height"] / 2) for each in boxes]
    return first, second


def test_a_pivot_is_dragged_together_saved_shared_exported_and_sent(sign_in: Any) -> None:
    page = sign_in("claire@demo.example", path=SALES)
    for name, place in (("core.country", "rows"), ("date.quarter", "columns")):
        start, end = in_view(page, name, place)
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*end, steps=8)
        page.locator(f'[data-zone={place}] [data-dimension="{name}"]').wait_for()
        page.mouse.up()
        page.wait_for_url(f"**at.{name}={place}**")
    page.locator(".w-table").get_by_role("row", name="France").wait_for()

    # The same question drawn, its picture taken away.
    page.get_by_role("link", name="Stacked bars").click()
    page.locator("#pivot-chart svg").first.wait_for()
    page.locator("#pivot-chart [aria-haspopup=menu]").click()
    with page.expect_download() as got:
        page.locator("[data-save-chart=png]").click()
    assert got.value.path().read_bytes()[:4] == b"\x89PNG"

    # Kept, for the team.
    page.locator(".r-head .btn-primary").click()
    page.locator("#modal [name=name]").fill("Won by country")
    page.locator("#modal [name=shared]").select_option("team")
    page.locator("#modal [name=team_id]").wait_for()
    page.locator("#modal .btn-primary").click()
    page.wait_for_url("**report=**")
    for kind, begins in (("xlsx", b"PK\x03\x04"), ("csv", b"\xef\xbb\xbf"), ("pdf", b"%PDF")):
        page.locator("[popovertarget=take]").click()
        with page.expect_download() as got:
            page.locator(f"#take a[href*='format={kind}']").click()
        assert got.value.path().read_bytes().startswith(begins)

    # Each week to a colleague.
    page.locator("[popovertarget=take]").click()
    page.locator("#take a[href*=deliveries]").click()
    page.locator("#modal [data-narrow]").fill("james")
    page.locator("#modal .r-check:visible").filter(has_text="James").click()
    page.locator("#modal .btn-primary").click()
    page.wait_for_url("**/warehouse/deliveries")
    row = page.get_by_role("row", name="Won by country").first
    assert "each week on Monday at 7:00" in row.inner_text()
    assert "James Okafor" in row.inner_text()
    assert violations(page) == []


def test_the_same_with_a_finger_in_persian(sign_in: Any) -> None:
    page = sign_in("darya@demo.example", "fa", theme="dark", size=PHONE, path=SALES)
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    start, end = in_view(page, "core.country", "filter")

    def touch(kind: str, *points: tuple[float, float]) -> None:
        wanted = [{"x": x, "y": y} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": wanted})

    touch("touchStart", start)
    page.locator('[data-dimension="core.country"].sortable-chosen').wait_for()  # held for a moment: not a scroll
    for step in range(1, 9):
        touch("touchMove", tuple(a + (b - a) * step / 8 for a, b in zip(start, end, strict=True)))  # type: ignore[arg-type]
    page.locator('[data-zone=filter] [data-dimension="core.country"]').wait_for()
    touch("touchEnd")
    page.wait_for_url("**at.core.country=filter**")

    # By keyboard it is the choice beside it.
    page.locator("#w-more").evaluate("each => { each.open = true; }")
    page.locator('[name="at.date.quarter"]').select_option("rows")
    page.wait_for_url("**at.date.quarter=rows**")
    page.get_by_role("group").locator("a[href*='chart=bar']").click()
    page.locator("#pivot-chart svg").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    assert violations(page) == []
    page.screenshot(path=ARTEFACTS / "fa" / "warehouse-dark-390.png", full_page=True)
