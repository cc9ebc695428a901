"""A week in the calendar: drawn with the mouse, moved with the keyboard, looked at on a phone and in Persian."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from tests.axe import violations

from .conftest import ARTEFACTS, PHONE

WEEK = "/calendar?view=week&on=2027-03-24"


def test_an_appointment_is_drawn_dragged_and_moved_with_the_keyboard(sign_in: Any) -> None:
    page = sign_in("james@demo.example", path=WEEK)
    wednesday, thursday = (page.locator(f"[data-day='2027-03-{day}']") for day in (24, 25))

    # Drawn from ten to half past eleven, it asks what it is.
    box = wednesday.bounding_box()
    hour = box["height"] / 13
    page.mouse.move(box["x"] + 40, box["y"] + 3.1 * hour)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 4 * hour)
    page.mouse.move(box["x"] + 60, box["y"] + 4.5 * hour)
    page.mouse.up()
    dialog = page.get_by_role("dialog", name="New appointment")
    dialog.get_by_label("Title").fill("Roof with Eleanor")
    assert dialog.locator("[name=start_time]").input_value() == "10:00"
    assert dialog.locator("[name=end_time]").input_value() == "11:30"
    assert violations(page) == []
    dialog.get_by_role("button", name="Save").click()
    block = wednesday.get_by_role("link", name="Roof with Eleanor")
    block.wait_for()

    # Dragged to Thursday, an hour later; a click has opened nothing.
    at, there = block.bounding_box(), thursday.bounding_box()
    page.mouse.move(at["x"] + 30, at["y"] + 8)
    page.mouse.down()
    page.mouse.move(at["x"] + 60, at["y"] + 20)
    page.mouse.move(there["x"] + 40, at["y"] + 8 + hour)
    page.mouse.up()
    moved = thursday.get_by_role("link", name=re.compile("Roof with Eleanor.*11:00"))
    moved.wait_for()
    assert page.url.endswith(WEEK)

    # A quarter of an hour earlier, and half an hour longer, without a mouse.
    moved.focus()
    page.keyboard.press("Alt+ArrowUp")
    earlier = thursday.get_by_role("link", name=re.compile("Roof with Eleanor.*10:45.*12:15"))
    earlier.wait_for()
    page.wait_for_function("() => document.activeElement?.dataset.block !== undefined")
    page.keyboard.press("Alt+Shift+ArrowDown")
    thursday.get_by_role("link", name=re.compile("Roof with Eleanor.*10:45.*12:30")).click()
    page.get_by_role("heading", name="Roof with Eleanor", level=1).wait_for()
    page.get_by_text("10:45").first.wait_for()


def test_one_of_a_series_is_moved_and_the_rest_stays(sign_in: Any) -> None:
    page = sign_in("james@demo.example", path="/calendar?view=week&on=2027-04-07")
    lunch = page.locator("[data-day='2027-04-07']").get_by_role("link", name=re.compile("Lunch"))
    lunch.focus()
    page.keyboard.press("Alt+ArrowDown")
    dialog = page.get_by_role("dialog", name="Move “Lunch”")
    assert dialog.get_by_label("This one", exact=True).is_checked()
    dialog.get_by_role("button", name="Move").click()
    page.locator("[data-day='2027-04-07']").get_by_role("link", name=re.compile("Lunch.*12:45")).wait_for()
    page.locator("[data-day='2027-04-08']").get_by_role("link", name=re.compile("Lunch.*12:30")).wait_for()


def test_on_a_phone_it_is_a_list_and_in_persian_a_week_from_saturday(sign_in: Any) -> None:
    page = sign_in("darya@demo.example", "fa", size=PHONE, path="/calendar")
    assert page.locator(".c-agenda").is_visible()
    assert not page.locator(".c-grid").is_visible()
    page.goto("/calendar?view=three&on=2027-03-20")
    assert page.locator(".c-grid .c-head").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]

    wide = sign_in("darya@demo.example", "fa", path="/calendar?view=week&on=2027-03-24")
    days = wide.eval_on_selector_all("[data-day]", "all => all.map(day => day.dataset.day)")
    assert dt.date.fromisoformat(days[0]).weekday() == 5
    heads = wide.locator(".c-head .c-number").all_inner_texts()
    assert heads[:2] == ["۲۹", "۱"]  # the last of Esfand, and Nowruz
    boxes = [wide.locator(f"[data-day='{day}']").bounding_box()["x"] for day in (days[0], days[-1])]
    assert boxes[0] > boxes[1]  # from right to left
    wide.goto("/calendar?view=month&on=2027-03-24")
    assert wide.locator("h1").inner_text() == "فروردین ۱۴۰۶"
    ARTEFACTS.mkdir(exist_ok=True)
    wide.screenshot(path=ARTEFACTS / "calendar-fa.png")
