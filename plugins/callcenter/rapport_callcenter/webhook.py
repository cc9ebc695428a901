"""Any telephone system that speaks HTTP: it is asked by a signed request, and tells what happens by an inbound hook.

It is part of the call centre and no plugin of its own: it needs nothing but an address and a secret, and what comes
back goes through the core's inbound hooks, which check signatures and hear each message once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

from rapport import N_, PermanentFailure, gettext, utcnow
from rapport.builtin.webhooks.signing import headers
from rapport.outbound import request
from rapport_callcenter.telephony import Dialling, Telephony

if TYPE_CHECKING:
    from rapport import Site


def ask(dialling: Dialling, site: Site) -> None:
    """Send one wish. Anything but 2xx is a refusal; it is not sent again, as a call that comes too late is none."""
    url, secret = (str(site.settings.get(f"callcenter.webhook_{name}")) for name in ("url", "secret"))
    if not url or not secret:
        raise PermanentFailure(gettext("The telephone system has no address or no secret: see Settings."))
    body = json.dumps({
        "type": f"call.{dialling.what}", "timestamp": utcnow().isoformat(),
        "data": {"call": dialling.external_id or dialling.call_id, "number": dialling.number,
                 "extension": dialling.extension},
    }).encode()  # fmt: skip
    answer = request(site, "POST", url, headers=signed(secret, body), body=body)
    if not 200 <= answer.status < 300:
        raise PermanentFailure(gettext("The telephone system answers %(status)s.", status=answer.status))


def signed(secret: str, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks: the id, the moment and the body are signed together."""
    message_id, timestamp = f"msg_{uuid4().hex}", int(utcnow().timestamp())
    return {"Content-Type": "application/json", **headers([secret], message_id, timestamp, body)}


WEBHOOK = Telephony("webhook", N_("By webhook"), ask)
