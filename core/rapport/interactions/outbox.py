"""What people do with messages in the outbox, from their page or many at once: approve, cancel, settle a doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.contributions import Action, ListFilter
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _, ngettext
from rapport.interactions import sending
from rapport.interactions.messages import Message
from rapport.records import Unit

NOT_SENT = ("failed", "bounced", "refused", "cancelled")


def approve(unit: Unit, records: Sequence[Message], values: Mapping[str, Any]) -> str:
    """Let messages go that were held."""
    count = sending.approve(unit, records)
    return ngettext("%(num)s message may go out.", "%(num)s messages may go out.", count) + _refused(records)


def cancel(unit: Unit, records: Sequence[Message], values: Mapping[str, Any]) -> str:
    """Take messages back before they go out."""
    count = sending.cancel(unit, records)
    if count < len(records):
        raise Invalid(Problem(None, _("Some of them are on their way already. Nothing was cancelled.")))
    return ngettext("%(num)s message is cancelled.", "%(num)s messages are cancelled.", count)


def send_again(unit: Unit, records: Sequence[Message], values: Mapping[str, Any]) -> str:
    """Try messages again that did not go out, or as somebody has found out, did not."""
    count = sending.send_again(unit, records)
    return ngettext("%(num)s message is tried again.", "%(num)s messages are tried again.", count) + _refused(records)


def it_went_out(unit: Unit, records: Sequence[Message], values: Mapping[str, Any]) -> str:
    """Somebody has found out that doubtful messages arrived."""
    count = sending.it_went_out(unit, records)
    return ngettext("%(num)s message is noted as sent.", "%(num)s messages are noted as sent.", count)


def _refused(records: Sequence[Message]) -> str:
    """What the gate had against them now, where it had something."""
    reasons = dict.fromkeys(message.reason for message in records if message.state == "refused")
    return "".join(f" {_('Not sent')}: {reason}" for reason in reasons)


ACTIONS = (
    Action("message", "approve", "Approve", "circle-check", "message.approve", approve, bulk=True, primary=True,
           applies=lambda message: message.state == "held"),
    Action("message", "it_went_out", "It went out", "mail-check", "message.send", it_went_out, bulk=True, primary=True,
           applies=lambda message: message.state == "doubtful"),
    Action("message", "not_sent", "It did not: send again", "send", "message.send", send_again, bulk=True,
           applies=lambda message: message.state == "doubtful"),
    Action("message", "send_again", "Try again", "refresh", "message.create", send_again, bulk=True,
           applies=lambda message: message.state in NOT_SENT),
    Action("message", "cancel", "Cancel", "x", "message.create", cancel, bulk=True,
           applies=lambda message: message.state in {"waiting", "held"}),
)  # fmt: skip
LIST_FILTERS = (
    ListFilter("message", "mine", "Mine", "sender_id = me"),
    ListFilter("message", "held", "To approve", 'state = "held"'),
    ListFilter("message", "doubtful", "In doubt", 'state = "doubtful"'),
    ListFilter("message", "not_sent", "Not sent", 'state in ("refused", "failed", "bounced")'),
)
