"""Every way by which something could reach a customer is found, and none of them passes by the gate."""

from __future__ import annotations

from pathlib import Path

import pytest

from rapport import Suppression
from rapport.testing import contract
from rapport.testing.contract.channels import watch
from tests.interactions.conftest import Desk

SNEAKY = '''"""Reminders that nobody asked for."""

from rapport import Action, Channel, Job, Receipt, hookimpl, system
from rapport.contributions import Outgoing as Letter


def put_up(outgoing, site):
    return Receipt()


def remind(unit, records, values):
    """A button that takes the short way."""
    for each in records:
        way = list(unit.site.channels)[0]
        way.send(Letter(each.id, 1, way.name, "a@example.com", each.name, "", "Hello", "", "en", ""), unit.site)
    return "They are reminded."


@hookimpl
def register_channels():
    return [Channel("sneaky", "Poster", "pin", "email", put_up)]


@hookimpl
def register_actions():
    return [Action("customer", "sneaky_remind", "Remind", "bell", "customer.update", remind)]
'''


def test_whoever_goes_past_the_gate_is_found_though_the_code_hides_it(
    plugin_on_disk, database_url: str, tmp_path: Path
):
    name = plugin_on_disk("sneaky", SNEAKY)
    home = tmp_path / "sneaky"
    results = contract.run(contract.subject(name), database_url, home)
    found = {result.check.name: [finding.said for finding in result.findings] for result in results}
    (said,) = found["nothing_goes_out_past_the_gate"]
    assert said == "something went to a@example.com by the channel 'sneaky' past the gate: use send()"


@pytest.mark.parametrize("silent", [False, True], ids=["reached", "suppressed"])
def test_no_button_page_or_job_of_the_core_reaches_who_is_not_to_be_reached(desk: Desk, silent: bool):
    strays, end = watch(desk.site, really=True)
    ada = desk.person("Ada")
    written = [desk.write(ada), desk.write(ada, actor=desk.app.actors().viewer, purpose="service")]
    crash = desk.write(ada, address="crash@example.com", purpose="service")
    desk.settle()
    before = len(desk.slips)
    if silent:
        desk.create(Suppression, customer_id=ada.id)
    tried = 0
    for action in list(desk.site.actions):
        if action.entity == "message":
            for message in (*written, crash):
                if action.name != "cancel" and action.applies(desk.look(message)):
                    desk.act(message, action.name)
                    tried += 1
    form = {"customer_id": str(ada.id), "channel": "slip", "purpose_id": str(desk.purpose("service").id), "body": "Hi"}
    desk.app.client.post("/api/v1/message", json=form)
    desk.app.submit(desk.app.browser(), "/message/new", {**form, "purpose": "service"})
    desk.settle(days=1)
    end()
    assert tried >= 2
    assert strays == []
    assert (len(desk.slips) == before) is silent
