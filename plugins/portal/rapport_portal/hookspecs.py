"""What the portal lets other plugins bring: pages that customers see."""

from __future__ import annotations

from collections.abc import Sequence

from rapport import hook
from rapport_portal.contributions import PortalPage


@hook("register", PortalPage)
def register_portal_pages() -> Sequence[PortalPage]:
    """Pages under /portal/<plugin>/ for the customer who is signed in, in the look and the menu of the portal.

    *Kind* register. *Transaction* none. *On failure* the plugin is quarantined, or its bridge to the portal left out.
    """
