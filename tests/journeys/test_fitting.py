"""An administrator fits the site in the browser: a field appears everywhere at once, a form is arranged by keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from tests.axe import violations

from .conftest import PHONE, WIDE


def save(page: Any) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".r-toast").get_by_text("saved").first.wait_for()


@pytest.mark.timeout(300)
def test_a_field_is_added_filled_in_found_in_the_list_and_arranged(sign_in: Any) -> None:
    page = sign_in()
    page.goto("/admin")
    page.locator("main").get_by_role("link", name="Fields and kinds").click()
    page.locator("main").get_by_role("link", name="Customers", exact=True).click()
    page.get_by_role("link", name="Add a field").first.click()
    assert not page.get_by_label("Choices").is_visible(), "only a choice has choices"
    page.get_by_label("Label").fill("Kind of pool")
    page.locator("select[name=kind]").select_option("choice")
    for choice in ("Round", "Square"):
        page.get_by_label("Choices").fill(choice)
        page.keyboard.press("Enter")
    page.get_by_label("In lists").check()
    save(page)

    # On the very next page.
    page.goto("/customer/new")
    page.get_by_label("Name", exact=True).fill("Marguerite Bassin")
    page.get_by_label("Kind of pool").select_option("Round")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("heading", name="Marguerite Bassin", level=1).wait_for()
    page.goto("/customer?q=Bassin")
    page.locator("main tr", has_text="Marguerite Bassin").get_by_text("Round").first.wait_for()

    # The form is arranged with the keyboard alone: to the top of the form, and another field is left out.
    page.goto("/admin/kinds/customer/form")
    names = "all => all.filter(each => each.offsetParent || each.closest('[data-order]')).map(each => each.value)"
    item = page.locator("[data-item]", has=page.locator("input[value=x_kind_of_pool]"))
    up = item.get_by_role("button", name="Move “Kind of pool” up")
    up.focus()
    before = page.eval_on_selector_all("[data-order] [name=item]", names).index("x_kind_of_pool")
    page.keyboard.press("Enter")
    assert page.eval_on_selector_all("[data-order] [name=item]", names).index("x_kind_of_pool") == before - 1
    assert up.evaluate("button => button === document.activeElement"), "it can be pressed again"
    page.get_by_role("button", name="Leave out “Reference”").focus()
    page.keyboard.press("Enter")
    page.locator("[data-out]").get_by_text("Reference", exact=True).wait_for()

    # And with the mouse: the owner above everything.
    owner = page.locator("[data-item]", has=page.locator("input[value=owner_id]"))
    first = page.locator("[data-item]").first
    owner.drag_to(first, target_position={"x": 60, "y": 3})
    page.wait_for_function(
        "document.querySelector('[data-item] input').value === 'owner_id' || "
        "document.querySelectorAll('[data-item] input')[1].value === 'owner_id'"
    )
    save(page)
    page.goto("/customer/new")
    assert page.get_by_label("Reference").count() == 0
    assert page.get_by_label("Kind of pool").count() == 1

    # As it was: undone from the message.
    page.goto("/admin/kinds/customer/form")
    page.get_by_role("button", name="As the plugin made it").click()
    page.locator("#confirm [value=yes]").click()
    page.get_by_text("It is arranged as it was made.").wait_for()
    page.goto("/customer/new")
    assert page.get_by_label("Reference").count() == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("lang", "theme", "size"), [("en", "light", WIDE), ("fa", "dark", PHONE)], ids=["english", "persian-dark-phone"]
)
def test_axe_finds_nothing_on_the_pages_of_fitting(sign_in: Any, lang: str, theme: str, size: tuple[int, int]) -> None:
    page = sign_in(lang=lang, theme=theme, size=size)
    wrong: list[Any] = []
    for path in ("/admin/kinds", "/admin/kinds/new", "/admin/kinds/customer", "/admin/kinds/customer/fields/new",
                 "/admin/kinds/customer/form", "/admin/kinds/customer/list", "/admin/words?kind=customer"):  # fmt: skip
        assert page.goto(path).status == 200, path
        wrong += [(path, each) for each in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth") > size[0]:
            wrong.append((path, "is wider than the screen"))
    assert wrong == []
