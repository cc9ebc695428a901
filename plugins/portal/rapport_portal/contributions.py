"""The page that another plugin brings into the portal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.routing import Map, Rule


@dataclass(frozen=True, slots=True)
class PortalPage:
    """A page under /portal/<plugin>/: `PortalPage("", requests, title="My requests", icon="lifebuoy")`.

    `view` is a Flask view. It reads and writes with `current_actor()`, the customer's own reach, and shows a template
    that extends `portal/base.html`. With a `title` the page has a place in the portal's menu.
    """

    rule: str
    """Below /portal/<plugin>/, such as `<uuid:case_id>`; empty for the plugin's first page."""
    view: Callable[..., Any]
    methods: Sequence[str] = ("GET",)
    title: str = ""
    icon: str = ""
    order: int = 100
    public: bool = False
    """Whether it is open to everybody, signed in or not. Such a page asks `signed_in_customer()` who looks."""

    def __post_init__(self) -> None:
        """A rule that Flask would not take is this page's fault, and told here."""
        if self.rule.startswith("/"):
            raise ValueError(
                f"the rule '{self.rule}' of a portal page begins below /portal/<plugin>/: leave the / away."
            )
        if self.title and "<" in self.rule:
            raise ValueError(
                f"the portal page '{self.title}' has '{self.rule}' for a rule: a menu leads to no such page."
            )
        Map([Rule(f"/{self.rule}")])
