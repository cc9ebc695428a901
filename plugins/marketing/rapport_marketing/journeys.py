"""Journeys to begin with: a welcome, and a word a month later; switched off until somebody has read them."""

from __future__ import annotations

from rapport import Site

WELCOME = """\
name: marketing_welcome
title: Welcome new customers
note: Everybody who comes to meet the condition is welcomed, asked a month later how it goes, and helped if need be.
entity: customer
start:
  - segment: 'tags has "new"'
  - person: true
initial: welcoming
states:
  welcoming:
    title: Welcome
    entry:
      - send: {channel: email, purpose: marketing, campaign: WELCOME, subject: "Welcome, {name}", body: "It is good to have you with us."}
    on:
      answered: in_touch
    after:
      30 days: asking
  asking:
    title: A month after
    entry:
      - send: {channel: email, purpose: marketing, campaign: WELCOME, subject: "How is it going?", body: "Tell us in a word."}
    on:
      answered: in_touch
    after:
      14 days: calling
  calling:
    title: Call them
    task: {for: [owner, role:manager], title: "Ask {name} how it is going", deadline: 1 week}
    on:
      done: in_touch
      overdue: in_touch
      answered: in_touch
  in_touch:
    title: In touch
    final: true
"""  # noqa: E501 - a line of the text is a line
INVEST = """\
name: marketing_invest
title: Look after those we invest in
note: Whoever comes to be worth an investment has a call from their owner, and a reminder when it is not made.
entity: customer
start:
  - segment: 'marketing_decision = "invest"'
initial: calling
states:
  calling:
    title: A call
    task: {for: [owner, role:manager], title: "Call {name}: a customer we invest in", deadline: 2 weeks}
    on:
      done: called
      overdue: reminded
  reminded:
    title: Reminded
    task: {for: role:manager, title: "{name} has not been called"}
    on:
      done: called
  called:
    title: Called
    final: true
"""


def first(site: Site) -> dict[str, tuple[str, bool]]:
    """What a site begins with, and whether it is on. A welcome is sent by mail where there is mail."""
    found = {"marketing_invest": (INVEST, False)}
    if site.channels.get("email") is not None:
        found["marketing_welcome"] = (WELCOME, False)
    return found
