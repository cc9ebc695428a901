"""The pages and the API of workflows: who may lay them out, start them, and what is shown of them."""

from __future__ import annotations

import pytest

from rapport import Customer
from rapport.testing.app import TestApp
from rapport.workflows import Workflow, WorkflowVersion
from rapport.workflows.templates import TEMPLATES

from .conftest import Workflows

REMIND = """
name: remind
title: Remind of the contract
entity: customer
facts: {score: integer}
start: [{api: true}, {person: true}]
initial: asking
states:
  asking:
    title: Waiting for the contract
    on:
      signed: happy
      scored: [{guard: 'fact_score > 5', target: happy}, sad]
    after: {1 week: sad}
  happy: {final: true}
  sad: {final: true}
"""


def test_an_administrator_lays_one_out_with_its_mistakes_at_their_lines(app: TestApp, workflows: Workflows):
    browser = app.browser()
    for name, template in TEMPLATES.items():
        assert template.source.splitlines()[0] in browser.get(f"/admin/workflows/new?like={name}").get_data(
            as_text=True
        )
    checked = app.submit(browser, "/admin/workflows/check", {"source": REMIND.replace("1 week", "1 wek")})
    assert "line 14, states.asking.after.1 wek: &#39;1 wek&#39; is not a time." in checked.get_data(as_text=True)
    refused = app.submit(browser, "/admin/workflows/new", {"source": REMIND.replace("target: happy", "target: hapy")})
    assert (refused.status_code, "Did you mean &#39;happy&#39;?" in refused.get_data(as_text=True)) == (422, True)
    made = app.submit(browser, "/admin/workflows/new", {"source": REMIND, "active": "true"})
    assert made.status_code in {302, 303}
    page = browser.get(made.location).get_data(as_text=True)
    assert "Waiting for the contract → Happy: signed" in page  # the picture, said in words
    assert "Remind of the contract" in browser.get("/admin/workflows").get_data(as_text=True)
    assert app.browser(app.actors().manager).get("/admin/workflows").status_code == 403


def test_people_start_one_on_the_record_and_send_it_events(app: TestApp, workflows: Workflows):
    people = app.actors()
    workflow = workflows.make(REMIND)
    ada = app.create_customer(name="Ada", actor=people.member)
    browser = app.browser(people.member)
    page = f"/customer/{ada.id}"
    assert "Remind of the contract" in browser.get(page).get_data(as_text=True)
    app.submit(browser, f"{page}/start-workflow", {"workflow": "remind"})
    run = f"/workflow-run/{workflows.of(ada).id}"
    shown = browser.get(run).get_data(as_text=True)
    assert "after 1 week" in shown
    assert ">Signed<" in shown
    viewer = app.browser(people.viewer)
    assert viewer.get(run).status_code == 200
    assert ">Signed<" not in viewer.get(run).get_data(as_text=True)
    assert app.submit(viewer, f"{run}/event", {"event": "signed"}).status_code == 403
    assert app.submit(browser, f"{run}/event", {"event": "approved"}).status_code == 404  # nobody sends that by hand
    admin = app.browser()
    assert "Ada" in admin.get(f"/admin/workflows/{workflow.id}/runs?state=asking").get_data(as_text=True)
    app.submit(browser, f"{run}/event", {"event": "signed"})
    assert workflows.of(ada).states == ("happy",)
    for rest in ("", "/runs?status=finished", "/simulate?days=5", "/edit"):
        assert admin.get(f"/admin/workflows/{workflow.id}{rest}").status_code == 200


def test_programs_start_one_and_send_it_facts(app: TestApp, workflows: Workflows):
    people = app.actors()
    workflows.make(REMIND)
    ada = app.create_customer(name="Ada", actor=people.member)
    api = app.api(people.member)
    where = "/api/v1/workflow/remind"
    begun = api.post(f"{where}/start", json={"record": str(ada.id)})
    assert (begun.status_code, begun.get_json()["states"]) == (201, ["asking"])
    wrong = api.post(f"{where}/signal", json={"record": str(ada.id), "event": "scored", "facts": {"score": "many"}})
    assert (wrong.status_code, "facts.score" in wrong.get_data(as_text=True)) == (422, True)
    assert api.post(f"{where}/signal", json={"record": str(ada.id), "event": "done"}).status_code == 422
    told = api.post(f"{where}/signal", json={"record": str(ada.id), "event": "scored", "facts": {"score": 9}})
    assert (told.get_json()["moved"], told.get_json()["status"]) == (True, "finished")
    assert api.post("/api/v1/workflow/other/start", json={"record": str(ada.id)}).status_code == 404
    assert app.api(people.viewer).post(f"{where}/start", json={"record": str(ada.id)}).status_code == 403
    limited = app.api(people.member, scopes=["customer.read"])
    assert limited.post(f"{where}/start", json={"record": str(ada.id)}).status_code == 403


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_runs_is_moved_to_the_newest_version_on_purpose(app: TestApp, workflows: Workflows, clock):
    workflow = workflows.make(REMIND)
    ada = app.create_customer(name="Ada")
    browser = app.browser()
    app.submit(browser, f"/customer/{ada.id}/start-workflow", {"workflow": "remind"})
    clock.forward(days=3)
    workflows.change(workflow, REMIND.replace("asking", "waiting").replace("1 week", "2 weeks"))
    move = f"/admin/workflows/{workflow.id}/move?version=1"
    assert "Say where “Waiting for the contract” goes." in browser.get(move).get_data(as_text=True)
    app.submit(browser, move, {"to:asking": "waiting", "go": "1"})
    instance = workflows.of(ada)
    with app.site.read(app.admin) as reader:
        versions = {each.id: each.number for each in reader.all(WorkflowVersion)}
    assert (instance.states, versions[instance.version_id]) == (("waiting",), 2)
    assert [step.event for step in workflows.steps(instance)] == ["start", "move"]
    clock.forward(days=4)  # the time it waited already counts
    app.settle()
    assert workflows.of(ada).states == ("sad",)


def test_what_runs_can_only_be_seen_with_its_record(app: TestApp, workflows: Workflows):
    people = app.actors()
    workflows.make(REMIND)
    ada = app.create_customer(name="Ada")
    app.submit(app.browser(), f"/customer/{ada.id}/start-workflow", {"workflow": "remind"})
    run = workflows.of(ada)
    for address in ("workflow_instance", "workflow", "workflow_version", "approval"):
        assert app.api(people.manager).get(f"/api/v1/{address}").status_code == 403
    with app.site.write(app.admin) as unit:
        unit.delete(unit.get(Customer, ada.id))
    assert app.browser().get(f"/workflow-run/{run.id}").status_code == 404
    assert workflows.every(Workflow) != []
