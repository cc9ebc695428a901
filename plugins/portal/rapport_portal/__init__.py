"""Portal: customers sign in by mail, see their own details and keep them right."""

from rapport_portal.accounts import Account
from rapport_portal.contributions import PortalPage
from rapport_portal.customers import current_customer, own, send_file_of, signed_in_customer, typed, uploaded

__all__ = [
    "Account",
    "PortalPage",
    "current_customer",
    "own",
    "send_file_of",
    "signed_in_customer",
    "typed",
    "uploaded",
]
