"""Asking the telephone system: a job for each wish, once what it is about is committed."""

from __future__ import annotations

from uuid import UUID

from rapport import Invalid, JobContext, Problem, Site, gettext
from rapport_callcenter import agents, hookspecs
from rapport_callcenter.entities import Call
from rapport_callcenter.telephony import Dialling, Telephony


def telephone_systems(site: Site) -> dict[str, Telephony]:
    """Every telephone system that a plugin brings, by name."""
    spec = hookspecs.register_callcenter_telephony
    found = [each for plugin in site.hooks.listeners(spec) for each in site.hooks.registered(plugin, spec)]
    return {each.name: each for each in found}


def ask(context: JobContext, call_id: str, what: str, number: str) -> str:
    """The job: hand one wish to the telephone system, outside of any transaction. What comes too late is not asked."""
    site = context.site
    name = str(site.settings.get("callcenter.telephony"))
    system = telephone_systems(site).get(name)
    if system is None:
        raise Invalid(Problem(None, gettext("There is no telephone system “%(name)s”: see Settings.", name=name)))
    with site.read(context.actor) as reader:
        call = reader.get(Call, UUID(call_id))
        agent = agents.agent_of(reader, call.agent_id or call.offered_id)
        if what == "dial" and call.status != "ringing":
            return ""
        wish = Dialling(call_id, what, number, agent.extension if agent is not None else "", call.external_id or "")
    system.ask(wish, site)
    return f"{what} {number}".strip()
