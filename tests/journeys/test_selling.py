"""From the first page to a deal that is won, as a salesperson goes it; once in English, once in Persian."""

from __future__ import annotations

import re
from typing import Any

from .conftest import PHONE


def expect_text(page: Any, text: str) -> None:
    page.get_by_text(text).first.wait_for()


def test_a_customer_is_called_and_a_deal_is_won(sign_in: Any) -> None:
    page = sign_in("james@demo.example")

    # Somebody calls: who was it again?
    page.keyboard.press("Control+k")
    page.keyboard.type("eleanor fin")
    page.get_by_role("option", name="Eleanor Finch").first.click()
    page.get_by_role("heading", name="Eleanor Finch", level=1).wait_for()

    # What was said, and what is next.
    page.get_by_label("What was it about?").fill("Wants a carport too")
    page.locator("#f-direction").select_option("in")
    page.get_by_label("Next step").fill("Send the carport offer")
    page.get_by_label("By", exact=True).fill("2027-03-21")
    page.get_by_role("button", name="Log it").click()
    page.locator(".r-timeline").get_by_text("Wants a carport too").wait_for()
    page.reload()
    expect_text(page, "Send the carport offer")

    # A deal, from her page.
    page.get_by_role("region", name="Open deals").get_by_role("link", name="Add").click()
    page.get_by_label("Name", exact=True).fill("Carport for Eleanor")
    page.locator("input[name=amount]").fill("18400")
    page.locator("input[name=expected_close_on]").fill("2027-04-30")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Carport for Eleanor", level=1).wait_for()

    # Along the board: by hand, then by keyboard.
    page.goto("/sales.opportunity/board?filter=owner_id+%3D+me")
    card = page.locator(".r-card", has_text="Carport for Eleanor")
    column = page.locator(".r-cards[data-title=Qualified]")
    card.get_by_role("link").drag_to(column, target_position={"x": 40, "y": 20})
    page.get_by_text("Moved to Qualified.").wait_for(state="attached")
    column.get_by_role("link", name="Carport for Eleanor").wait_for()
    page.locator(".r-card", has_text="Carport for Eleanor").get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.locator("[role=menuitem]:focus").wait_for()
    for _step in range(2):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator(".r-cards[data-title=Proposal]").get_by_role("link", name="Carport for Eleanor").wait_for()

    # Won.
    page.locator(".r-card", has_text="Carport for Eleanor").get_by_role("link").click()
    page.get_by_role("button", name="Won").click()
    dialog = page.get_by_role("dialog", name="Won")
    dialog.get_by_label("Reason", exact=False).first.select_option("relationship")
    dialog.get_by_role("button", name="Won").click()
    page.locator("#modal[open]").wait_for(state="detached")
    page.locator(".r-head, .r-facts").get_by_text("Won").first.wait_for()

    # It is on her timeline, and in the figures of the start page.
    page.goto("/")
    expect_text(page, "Won and lost in 90 days")


def test_the_same_in_persian_from_right_to_left_on_a_phone(sign_in: Any) -> None:
    page = sign_in("darya@demo.example", "fa", size=PHONE)
    assert page.evaluate("document.documentElement.dir") == "rtl"
    assert page.evaluate("document.documentElement.lang").startswith("fa")

    # Found as people type it: with Arabic letters for the Persian ones.
    page.goto("/customer?q=" + "شقايق")
    page.locator("main td a").first.click()
    page.locator("h1").get_by_text("شقایق").wait_for()

    # The next step falls on a day of the Persian calendar.
    page.locator("input[name=subject]").fill("درخواست سایبان")
    page.locator("input[name=next_step]").fill("ارسال پیشنهاد")
    page.locator("form.r-log input[name=due_on]").fill("۱۴۰۶/۰۱/۰۱")
    page.locator("form.r-log button[type=submit]").click()
    page.locator(".r-timeline").get_by_text("درخواست سایبان").wait_for()
    page.goto("/task?sort=-id")
    page.get_by_text("ارسال پیشنهاد").first.wait_for()
    assert page.get_by_text("۱۴۰۶/۰۱/۰۱").count() + page.get_by_text(re.compile("۱ فروردین ۱۴۰۶")).count() > 0

    # A deal is won from its own page.
    page.goto("/sales.opportunity/new")
    page.locator("input[name=name]").fill("سایبان چاپ شقایق")
    customer = page.locator("[data-picker]", has=page.locator("input[name=customer_id]")).get_by_role("combobox")
    customer.fill("شقایق")
    page.locator("[role=option]", has_text="شقایق").first.click()
    page.locator("input[name=amount]").fill("۱۲۰۰۰")
    page.locator("form[data-guard] .r-actions button[type=submit]").click()
    page.locator("h1").get_by_text("سایبان چاپ شقایق").wait_for()
    page.locator("[hx-get$='/do/win']").first.click()
    page.locator("#modal select[name=reason]").select_option("relationship")
    page.locator("#modal button[type=submit]").click()
    page.locator("#modal[open]").wait_for(state="detached")
    page.goto("/sales.opportunity/board?filter=owner_id+%3D+me")
    page.locator(".r-column", has_text="سایبان چاپ شقایق").wait_for(state="attached")


def test_a_list_is_imported_with_a_bar_that_moves(sign_in: Any, tmp_path: Any) -> None:
    people = tmp_path / "people.csv"
    people.write_text("Name,E-mail,City\n" + "".join(f"Visitor {n},v{n}@example.com,Lyon\n" for n in range(3000)))
    page = sign_in(path="/import?entity=customer")
    page.locator("input[type=file]").set_input_files(people)
    page.get_by_role("button", name="Look at the file").click()
    page.get_by_text("What each column becomes").first.wait_for()
    assert page.get_by_label("City becomes").input_value() == "address.city"
    page.get_by_role("button", name="Check every row").click()
    page.get_by_text("Every row can be imported.").wait_for()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("Every row was imported.").wait_for()
    page.goto("/customer?q=Visitor+2999")
    page.get_by_role("link", name="Visitor 2999").wait_for()
    page.goto("/imports")
    page.get_by_role("link", name="people.csv").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("dialog").get_by_role("button", name="OK").click()
    page.get_by_text("undone", exact=True).first.wait_for()
    page.goto("/customer?q=Visitor+2999")
    page.get_by_text("Nothing matches").wait_for()
