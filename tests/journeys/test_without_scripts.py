"""On a train the page is there before its scripts. What a salesperson types and sends then is kept all the same."""

from __future__ import annotations

from typing import Any

from .conftest import EMAIL, PASSWORD


def test_a_call_is_logged_before_the_scripts_are_there(chromium: Any, business: str) -> None:
    context = chromium.new_context(base_url=business, locale="en", java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto("/sign-in")
    page.locator("[name=email]").fill(EMAIL)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    page.goto("/customer?q=Eleanor")
    page.locator("main td a").first.click()

    # What is wrong comes back with what was typed.
    page.locator("form.r-log [name=subject]").fill("Called from the train")
    page.locator("form.r-log [name=due_on]").fill("2027-03-21")
    page.locator("form.r-log button[type=submit]").click()
    page.get_by_text("What is to be done by then?").wait_for()
    assert page.locator("form.r-log [name=subject]").input_value() == "Called from the train"

    page.locator("form.r-log [name=next_step]").fill("Call again")
    page.locator("form.r-log button[type=submit]").click()
    page.locator(".r-timeline").get_by_text("Called from the train").wait_for()
    context.close()
