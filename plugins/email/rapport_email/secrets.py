"""Passwords of mailboxes: kept encrypted with the site's own key, opened only where a server is spoken to."""

from __future__ import annotations

import base64
import hashlib

from rapport import Config
from rapport import gettext as _


class Locked(ValueError):
    """A password that this site's key does not open: the key was changed, and the password must be typed anew."""


def seal(config: Config, text: str) -> str:
    """A password as it is kept; empty for none."""
    return _fernet(config).encrypt(text.encode()).decode("ascii") if text else ""


def unseal(config: Config, kept: str) -> str:
    """The password again. Locked when the site's key is another one now."""
    from cryptography.fernet import InvalidToken

    if not kept:
        return ""
    try:
        return str(_fernet(config).decrypt(kept.encode("ascii")).decode())
    except (InvalidToken, ValueError) as error:
        raise Locked(_("The site’s key has changed, so the password must be entered again.")) from error


def _fernet(config: Config):  # type: ignore[no-untyped-def]  # imported late: it takes its time
    from cryptography.fernet import Fernet

    key = hashlib.sha256(b"rapport-email: passwords of mailboxes\0" + config.secret_key.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
