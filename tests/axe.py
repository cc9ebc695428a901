"""What axe finds wrong with a page of Rapport."""

from __future__ import annotations

from typing import Any

from rapport.builtin.web.design import STATIC

AXE = STATIC / "test" / "axe.min.js"


def violations(page: Any, within: str = "html", *, contrast: bool = True) -> list[tuple[str, list[str]]]:
    """The rules a page breaks, with the first places. Asked through the debugger: the page keeps its strict policy.

    `within` is what is looked at: `main` where the menus around it were seen on another page. `contrast` takes more
    than half of the time.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    # What passes is neither listed nor handed over: that took nine tenths of the time.
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": contrast}}}
    ask = "([within, options]) => axe.run(within, options).then(found => found.violations)"
    found = page.evaluate(ask, [within, options])
    return [(each["id"], [node["html"][:200] + node["failureSummary"] for node in each["nodes"]][:3]) for each in found]
