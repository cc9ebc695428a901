"""Signatures by which a receiver knows who sent a message, and that nobody changed it: Standard Webhooks.

The signed text is the message's id, the moment it was sent, and its body, each exactly as they stand in the request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
"""How far the clocks of two machines may be apart."""


def new_secret() -> str:
    """A secret for one end of a webhook and the other."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The bytes behind a secret. What is not written as Standard Webhooks wants it counts as it stands."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            return secret.encode()
    return secret.encode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature: `v1,…`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()


def headers(valid: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a message, signed with every secret that is valid: a receiver needs to know one of them."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(secret, message_id, timestamp, body) for secret in valid),
    }


def is_signed(valid: Iterable[str], message_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the signatures was made with one of the secrets. How old it is, is another question."""
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 12:
        return False
    given = [each.encode() for each in signatures.split()[:20]]
    right = [sign(secret, message_id, int(timestamp), body).encode() for secret in valid]
    return any(hmac.compare_digest(one, other) for one in given for other in right)


def is_plain_hmac(valid: Iterable[str], body: bytes, given: str) -> bool:
    """Whether a header is the HMAC-SHA256 of the body, in hex or base64, as many services send it: `sha256=…`."""
    value = given.strip().removeprefix("sha256=").encode()
    found = False
    for secret in valid:
        digest = hmac.digest(secret.encode(), body, hashlib.sha256)
        for right in (digest.hex().encode(), base64.b64encode(digest)):
            found |= hmac.compare_digest(value, right)
    return found
