"""The channel by which customers are called: what is to be said to somebody puts them on a call list.

It makes “by telephone” a choice of consent, do-not-contact entries and the customers' own page; and a campaign or a
workflow that sends by it has people called by people.
"""

from __future__ import annotations

from sqlalchemy import select

from rapport import N_, Channel, Outgoing, PermanentFailure, Receipt, Site, Unit, gettext, system
from rapport_callcenter import lists
from rapport_callcenter.entities import CHANNEL, CallList, Entry

STANDING = N_("Calls asked for")


def put_on_the_list(outgoing: Outgoing, site: Site) -> Receipt:
    """Have somebody called for this: by the open list of the campaign, else by the standing one."""
    if outgoing.customer_id is None:
        raise PermanentFailure(gettext("Only a known customer can be put on a call list."))
    with site.write(system("calls asked for")) as unit:
        call_list = list_for(unit, outgoing.campaign, outgoing.purpose)
        entry = unit.session.scalar(
            select(Entry).where(Entry.list_id == call_list.id, Entry.customer_id == outgoing.customer_id)
        )
        if entry is None:
            lists.add(unit, call_list, [outgoing.customer_id])
            entry = unit.session.scalars(
                select(Entry).where(Entry.list_id == call_list.id, Entry.customer_id == outgoing.customer_id)
            ).one()
        entry.note = f"{entry.note}\n\n{_said(outgoing)}".strip()
        entry.state, entry.attempts, entry.next_at = "new", 0, None
        lists.count(unit, call_list)
    return Receipt(str(outgoing.message_id))


def _said(outgoing: Outgoing) -> str:
    """What is to be told, without what is put below written messages."""
    body = outgoing.body.partition("\n\n-- \n")[0].strip()
    return body if body.startswith(outgoing.subject.rstrip("…")) else f"{outgoing.subject}\n{body}".strip()


def list_for(unit: Unit, campaign: str, purpose: str) -> CallList:
    """The open list of a campaign and purpose; one is made where there is none."""
    known = select(CallList).where(
        CallList.campaign == campaign, CallList.purpose == purpose, CallList.state == "open",
        CallList.archived_at.is_(None),
    ).order_by(CallList.id).limit(1)  # fmt: skip
    if (found := unit.session.scalars(known).one_or_none()) is not None:
        return found
    name = campaign or gettext(STANDING)
    made = unit.create(CallList, {"name": name, "campaign": campaign, "purpose": purpose})
    made.state = "open"
    unit.flush()
    return made


CALLS = Channel(CHANNEL, N_("Telephone call"), "phone", point="phone", send=put_on_the_list, kind="note")
