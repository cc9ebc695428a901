"""Administering a site from its pages alone: people, teams, pipelines, and what the audit tells."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rapport import Customer, Membership, Pipeline, Stage, Team, User
from rapport.testing import TestApp

from .conftest import Person


def rows(app: TestApp, entity: Any, *where: Any) -> list[Any]:
    with app.site.read(app.admin) as reader:
        return reader.all(entity, *where)


def test_teams_are_made_filled_and_put_away(app: Any) -> None:
    mia, noa = app.user("Mia"), app.user("Noa")
    ada = Person(app)
    ada.opens("/admin/teams/new")
    ada.sends("/admin/teams/new", name="North", members=[str(mia.id), str(noa.id)])
    assert "North" in ada.page
    assert "Mia" in ada.page
    [team] = rows(app, Team)
    ada.opens(f"/admin/teams/{team.id}")
    ada.sends(f"/admin/teams/{team.id}", name="North and East", members=[str(noa.id)])
    assert [each.user_id for each in rows(app, Membership)] == [noa.id]
    ada.opens("/admin/teams/new")
    page = ada.sends("/admin/teams/new", 422, name="North and East", members=[str(mia.id)])
    assert "is already used" in page
    assert re.search(rf'value="{mia.id}" checked', page)
    ada.opens(f"/admin/teams/{team.id}")
    ada.sends(f"/admin/teams/{team.id}/archive")
    assert "There is no team yet" in ada.opens("/admin/teams")


def test_somebody_is_let_in_again_also_without_the_telephone_that_was_lost(app: Any) -> None:
    mia, ada = app.user("Mia"), Person(app)
    with app.site.write(app.admin) as unit:
        unit.get(User, mia.id).totp_secret = "JBSWY3DPEHPK3PXP"
    address = f"/admin/users/{mia.id}"
    ada.opens(address)
    ada.sends(f"{address}/deactivate")
    with pytest.raises(AssertionError, match="Sign in"):
        app.browser(mia)
    assert "Let sign in again" in ada.opens(address)
    ada.sends(f"{address}/reactivate")
    assert "Switch the second step off" in ada.page
    ada.sends(f"{address}/second-factor")
    assert "Switch the second step off" not in ada.page
    assert Person(app, mia).opens("/")


def test_a_pipeline_is_laid_out_stage_by_stage(make_app: Any) -> None:
    with make_app(plugins=["sales"]) as app:
        ada = Person(app)
        ada.opens("/admin/pipelines/new?entity=sales.opportunity")
        ada.sends("/admin/pipelines/new", entity="sales.opportunity", name="Partners")
        [pipeline] = rows(app, Pipeline, Pipeline.name == "Partners")

        def stages() -> list[Any]:
            found = rows(app, Stage, Stage.pipeline_id == pipeline.id, Stage.archived_at.is_(None))
            return sorted(found, key=lambda stage: stage.position)

        def titles() -> list[str]:
            return [stage.title for stage in stages()]

        assert titles() == ["New", "Won", "Lost"]
        add = f"/admin/pipelines/{pipeline.id}/stages/new"
        page = ada.opens(add)
        assert 'name="required_fields" value="amount"' in page
        assert "must be between 0 and 100." in ada.sends(add, 422, title="Agreed", kind="open", probability="140")
        ada.sends(
            add, title="Agreed", kind="open", probability="60", required_fields=["amount", "nonsense"], color="purple"
        )
        assert titles() == ["New", "Agreed", "Won", "Lost"]
        agreed = stages()[1]
        assert (agreed.required_fields, agreed.color, agreed.probability) == (("amount",), "purple", 60)
        ada.sends(f"/admin/stages/{agreed.id}/move", to="up")
        assert titles() == ["Agreed", "New", "Won", "Lost"]
        ada.sends(f"/admin/stages/{agreed.id}/move", to="up")
        assert titles() == ["Agreed", "New", "Won", "Lost"]

        customer = app.create_customer(name="Ada")
        made = app.client.post("/api/v1/sales.opportunity", json={
            "name": "Roof", "customer_id": str(customer.id), "amount": "10", "stage_id": str(agreed.id),
        })  # fmt: skip
        assert made.status_code == 201
        assert "1 record is still there. Move it first." in ada.sends(f"/admin/stages/{agreed.id}/archive", 409)
        assert "1 record is still there." in _again(ada).sends(f"/admin/pipelines/{pipeline.id}/archive", 409)
        _again(ada).sends(f"/admin/stages/{stages()[1].id}/archive")
        assert titles() == ["Agreed", "Won", "Lost"]


def _again(person: Person) -> Person:
    person.opens("/admin/pipelines")
    return person


def test_the_audit_tells_every_change_in_words_and_can_be_searched(app: Any) -> None:
    mia = app.user("Mia")
    for number in range(12):
        app.create_customer(name=f"Customer {number}", owner_id=str(mia.id), actor=mia)
    with app.site.write(app.admin) as unit:
        ada = unit.create(Customer, {"name": "Ada"})
        unit.update(ada, {"email": "ada@example.com"})
    page = Person(app).opens("/admin/audit?entity=customer")
    assert page.count("Customer made") == 13
    assert "Customer 0" in page, "also of the oldest entry"
    assert page.count("Owner:</span>") == 13
    assert str(mia.id) not in page, "people are named, not numbered"
    page = Person(app).opens("/admin/audit?entity=customer&action=updated")
    assert "ada@example.com" in page
    assert "Customer 0" not in page
    assert Person(app).opens("/admin/audit?entity=customer&who=mia").count("Customer made") == 12
    assert "Nothing matches" in Person(app).opens("/admin/audit?via=import")
    member = Person(app, mia)
    for path in ("/admin", "/admin/audit", "/admin/teams", "/admin/pipelines", "/admin/teams/new"):
        member.opens(path, 403)
