"""Addresses of channels, in the one form in which they are kept and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rapport.contributions import Channel
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _
from rapport.i18n.values import normalise_email, normalise_phone

FORMS: Mapping[str, Callable[[str], str]] = {"email": normalise_email, "phone": normalise_phone}
"""The form of each kind of contact point that has one."""


def normal_address(channel: Channel, address: str) -> str:
    """An address in the form of its channel. Invalid for what is none."""
    if channel.normalize is not None:
        address = channel.normalize(address)
    elif channel.point in FORMS:
        try:
            address = FORMS[channel.point](address)
        except ValueError as error:
            raise Invalid(Problem(None, str(error))) from error
    address = address.strip()
    if not address:
        raise Invalid(Problem(None, _("is missing.")))
    return address
