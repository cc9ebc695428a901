"""Pages of other plugins in the portal: each at an address below its plugin's name, for whoever may see it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flask import g, request
from flask.blueprints import BlueprintSetupState

from rapport import N_, Site
from rapport.http import needs, public
from rapport_portal.contributions import PortalPage
from rapport_portal.customers import recognise

HOOK = "register_portal_pages"


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of the portal's menu."""

    title: str
    icon: str
    url: str
    order: int = 100
    public: bool = False

    current: bool = False
    """Whether it leads to the page that is shown, or to the nearest one above it."""


OWN = (
    Item(N_("My page"), "home", "/portal/", order=0),
    Item(N_("Preferences"), "adjustments", "/portal/preferences", order=900),
)


def add_pages(state: BlueprintSetupState, site: Site) -> None:
    """Take in what other plugins brought; the portal's way to sign in, its look and its errors are theirs too."""
    for number, (owner, page) in enumerate(_brought(site)):
        endpoint = f"{owner}_{number}_{page.view.__name__}"
        state.add_url_rule(address(owner, page), endpoint, _view(site, owner, page), methods=list(page.methods))


def address(owner: str, page: PortalPage) -> str:
    """Where a page of a plugin is."""
    return f"/portal/{owner}/{page.rule}"


def menu(site: Site) -> list[Item]:
    """What the menu shows to whoever looks: all of it, or only what is open to everybody."""
    items = [*OWN, *(Item(page.title, page.icon, address(owner, page), page.order, page.public)
                     for owner, page in _brought(site) if page.title)]  # fmt: skip
    somebody = g.get("actor") is not None
    shown = sorted((item for item in items if somebody or item.public), key=lambda item: (item.order, item.url))
    above = [item.url for item in shown if f"{request.path}/".startswith(f"{item.url.rstrip('/')}/")]
    nearest = max(above, key=len, default="")
    return [replace(item, current=item.url == nearest) for item in shown]


def _brought(site: Site) -> list[tuple[str, PortalPage]]:
    return site.brought.get(HOOK, [])


def _view(site: Site, owner: str, page: PortalPage) -> Callable[..., Any]:
    @functools.wraps(page.view)
    def view(**arguments: Any) -> Any:
        if page.public and (actor := recognise()) is not None:
            g.actor = actor
        return site.hooks.page(owner, f"the portal page {page.rule}", lambda: page.view(**arguments))

    return public(view) if page.public else needs("")(view)
