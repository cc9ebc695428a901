"""What the call centre brings to Rapport: a table of contents."""

from __future__ import annotations

import click
from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import (
    Action,
    Channel,
    Customer,
    Dimension,
    Entity,
    Job,
    ListFilter,
    Measure,
    NavItem,
    Panel,
    Report,
    SampleData,
    Setting,
    Slot,
    hookimpl,
)
from rapport_callcenter import (
    actions,
    asking,
    commands,
    desk,
    incoming,
    lists,
    measures,
    pages,
    panels,
    reports,
    sample,
    setup,
    simulator,
    timeline,
    wallboard,
    webhook,
    wishes,
)
from rapport_callcenter.calling import ASK
from rapport_callcenter.entities import (
    Agent,
    Answer,
    Call,
    CallList,
    Disposition,
    Entry,
    Event,
    Queue,
    Script,
    Site,
    Spell,
    Step,
    WrapUp,
)
from rapport_callcenter.telephony import Telephony


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [CallList, Call, Script, Step, Disposition, WrapUp, Site, Queue, Agent, Entry, Event, Answer, Spell]


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("callcenter.telephony", "Telephone system",
                help="The name of the one that dials: simulator, webhook. Left empty, agents use their telephones."),
        Setting("callcenter.ring_seconds", "Seconds to pick up", "integer", 20,
                help="So long a call rings at an agent, then at the next; the first one is given a pause."),
        Setting("callcenter.pauses", "Reasons for a pause", default="Break, Lunch, Meeting, Training",
                help="With commas between them."),
        Setting("callcenter.webhook_url", "Address of the telephone system", help="Where “webhook” asks it to dial."),
        Setting("callcenter.webhook_secret", "Its secret",
                help="By which it knows us, whsec_…, as in Standard Webhooks."),
    ]  # fmt: skip


@hookimpl
def register_channels() -> list[Channel]:
    return [asking.CALLS]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job(lists.FILL, "Fill a call list", lists.fill),
        Job(incoming.ROUTE, "Look again at a call that waits", incoming.route),
        Job(ASK, "Ask the telephone system", wishes.ask, attempts=1),  # what comes too late is worse than nothing
        Job(simulator.PLAY, "Let it ring, for trying it out", simulator.play),
    ]


@hookimpl
def register_callcenter_telephony() -> list[Telephony]:
    return [simulator.SIMULATOR, webhook.WEBHOOK]


@hookimpl
def register_commands() -> list[click.Command]:
    return [commands.simulate]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint(), desk.make_blueprint(), wallboard.make_blueprint()]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [
        NavItem("Calling", "/callcenter/calling", "phone-outgoing", "callcenter.entry.update", 30),
        NavItem("My desk", "/callcenter/desk", "headset", "callcenter.call.update", 31),
        NavItem("Wallboard", "/callcenter/wallboard", "chart-infographic", "callcenter.call.read", 32),
    ]


@hookimpl
def register_slots() -> list[Slot]:
    return [Slot("callcenter.calling", "Beside the customer whom an agent is calling", "/callcenter/calling",
                 {"customer": "the customer"})]  # fmt: skip


@hookimpl
def register_panels() -> list[Panel]:
    return panels.panels()


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [
        ListFilter("callcenter.call", "mine", "Mine", "agent_id = me"),
        ListFilter("callcenter.call", "abandoned", "Abandoned", 'status = "abandoned"'),
        ListFilter("callcenter.call", "unknown", "Nobody’s", "customer_id is empty"),
        ListFilter("callcenter.call_list", "open", "Calling", 'state = "open"'),
    ]


@hookimpl
def register_actions() -> list[Action]:
    return actions.actions()


@hookimpl
def register_measures() -> list[Measure]:
    return measures.measures()


@hookimpl
def register_dimensions() -> list[Dimension]:
    return measures.dimensions()


@hookimpl
def register_reports() -> list[Report]:
    return reports.reports()


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [SampleData("callcenter", sample.load, order=60)]


@hookimpl
def plugin_enabled(plugin: str, session: Session) -> None:
    if plugin == "callcenter":
        setup.make_first_records(session)


@hookimpl
def erase_personal_data(customer: Customer, session: Session) -> None:
    timeline.forget(customer, session)
