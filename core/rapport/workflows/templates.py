"""Workflows to begin with: an approval, a follow-up and a journey, as somebody would write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rapport.i18n.catalogs import N_


@dataclass(frozen=True, slots=True)
class Template:
    """Something to change instead of an empty page."""

    title: str
    summary: str
    icon: str
    source: str


TEMPLATES: Mapping[str, Template] = {
    "approval": Template(
        N_("Approval"),
        N_("Several people decide; with a deadline, and somebody who is asked when nobody answers."),
        "rubber-stamp",
        """\
name: approval
title: Approve an important customer
entity: customer
start:
  - event: updated
    when: 'tags has "important"'
  - person: true
initial: asking
states:
  asking:
    title: Waiting for approval
    approve:
      who: [role:manager, role:admin]
      need: 2
      title: "May {name} become an important customer?"
      deadline: 5 days
      escalate: {after: 2 days, to: role:admin}
    on:
      approved: granted
      rejected: refused
      overdue: refused
  granted:
    entry:
      - notify: {to: owner, subject: "{name} is an important customer now"}
    final: true
  refused:
    entry:
      - notify: {to: owner, subject: "{name} was not approved"}
    final: true
""",
    ),
    "follow_up": Template(
        N_("Follow-up"),
        N_("A task for the owner after something happened, and a reminder when it is not done."),
        "checkbox",
        """\
name: follow_up
title: Follow up on new customers
entity: customer
start:
  event: created
  when: 'kind = "person"'
initial: calling
states:
  calling:
    title: First call
    task:
      for: [owner, role:manager]
      title: "Call {name}"
      deadline: 3 days
    on:
      done: called
      overdue: reminded
  reminded:
    title: Reminded
    task:
      for: [owner, role:manager]
      title: "Call {name}, it is late"
    on:
      done: called
  called:
    title: Called
    final: true
""",
    ),
    "journey": Template(
        N_("Journey"),
        N_("Weeks with a customer: welcome them, wait, ask how it goes, and branch on what comes of it."),
        "route",
        """\
name: journey
title: The first month with a customer
entity: customer
start:
  event: created
initial: welcoming
states:
  welcoming:
    title: Welcome
    task: {for: [owner, role:manager], title: "Welcome {name}", deadline: 1 week}
    on:
      done: waiting
      overdue: waiting
  waiting:
    title: Getting to know us
    on:
      answered: in_touch
    after:
      30 days: asking
  asking:
    title: How is it going?
    task: {for: [owner, role:manager], title: "Ask {name} how it is going"}
    on:
      done: deciding
      answered: in_touch
  deciding:
    title: Which way
    always:
      - {guard: 'tags has "unhappy"', target: helping}
      - in_touch
  helping:
    title: Help is needed
    task: {for: role:manager, title: "Win {name} back"}
    on:
      done: in_touch
  in_touch:
    title: In touch
    final: true
""",
    ),
}
