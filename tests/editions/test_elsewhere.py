"""The same site elsewhere: from a lock file, on the other database; and a site fitted by hand as an edition."""

from __future__ import annotations

import copy
import json

import pytest

from rapport import Conflict, NotFound, Pipeline, Stage, system
from rapport.access.model import Role
from rapport.builtin.edition import (
    apply_lock,
    build_lock,
    export_edition,
    own_changes,
    read_edition,
    read_lock,
    write_lock,
)
from rapport.builtin.edition.engine import switch_on
from rapport.builtin.edition.store import current
from rapport.builtin.web.views import View

from .conftest import ADA
from .test_applying import PIPELINES, ROLES, SALES, SETTINGS, VIEWS

ACTOR = system("rapport edition apply").through("cli")


@pytest.fixture
def first(edition):
    return edition(
        "1.0.0", modules=SALES, pipelines=PIPELINES.format(samples=30), roles=ROLES.format(export="none"),
        settings=SETTINGS.format(currency="USD", days=45), views=VIEWS,
    )  # fmt: skip


@pytest.fixture
def second(edition):
    return edition(
        "2.0.0", modules=SALES, pipelines=PIPELINES.format(samples=40), roles=ROLES.format(export="own"),
        settings=SETTINGS.format(currency="USD", days=60), views=VIEWS,
    )  # fmt: skip


def customise(shop):
    """Twenty changes by hand, of every sort."""
    shop.change(Pipeline, "Retailers", name="Shops", position=5)
    shop.change(Stage, "Contacted", title="In touch", probability=12, color="pink", stale_after_days=7)
    shop.change(Stage, "Samples sent", color="lime")
    shop.remove(Stage, "Listed")
    shop.change(Role, "marketing", title="Marketing & PR", grants={"customer.read": "team", "customer.export": None})
    shop.change(View, "Retailers", columns=["name", "email"], filter='tags = "shop"')
    shop.set("core.name", "Blue Lagoon")
    shop.set("sales.lead_assignment", "round_robin")
    shop.add(Role, name="interns", title="Interns", grants={"customer.read": "own"})
    shop.add(Stage, pipeline_id=str(shop.find(Pipeline, "Shops").id), title="Waiting", position=7)
    shop.change(Pipeline, "Sales", name="Projects")
    shop.change(Stage, "Proposal", probability=55, required_fields=[])
    shop.change(Stage, "Qualified", title="Checked", stale_after_days=None)
    shop.remove(Stage, "Negotiation")
    shop.archive(Stage, "Lost")


def listed_own(shop):
    with shop.site() as site, site.read(ADA) as reader:
        return own_changes(reader.session, site, current(reader.session.connection()))


def test_a_lock_makes_a_site_on_the_other_database_the_equal_of_this_one(shop, other_shop, first, second, tmp_path):
    shop.apply(first)
    customise(shop)
    customised = shop.digest()
    shop.apply(second)
    upgraded = shop.digest()
    shop.rollback()
    assert shop.digest() == customised

    path = tmp_path / "shop.lock"
    write_lock(build_lock(shop.config), path)
    empty = other_shop.digest()
    outcome = apply_lock(other_shop.config, read_lock(path), actor=ACTOR)
    assert outcome.modules == ("products", "sales")
    assert other_shop.digest() == customised
    assert other_shop.listed() == shop.listed()
    # Not only the values: also what is the edition's and what is the site's own, so that upgrading does the same.
    assert listed_own(other_shop) == listed_own(shop)
    there, here = other_shop.apply(second), shop.apply(second)
    assert there.plan.clashes == here.plan.clashes
    assert other_shop.digest() == shop.digest() == upgraded
    other_shop.rollback()
    other_shop.rollback()
    assert other_shop.digest() == empty


def test_a_lock_goes_on_where_the_last_one_was_as_long_as_nobody_changed_the_site_by_hand(
    shop, other_shop, first, tmp_path
):
    shop.apply(first)
    apply_lock(other_shop.config, build_lock(shop.config), actor=ACTOR)
    customise(shop)
    apply_lock(other_shop.config, build_lock(shop.config), actor=ACTOR)
    assert other_shop.digest() == shop.digest()
    other_shop.change(Role, "interns", title="Trainees")
    before = other_shop.digest()
    with pytest.raises(
        Conflict, match=r"This site was configured by hand \(role/interns\), and a lock makes it exactly"
    ):
        apply_lock(other_shop.config, build_lock(shop.config), actor=ACTOR)
    assert other_shop.digest() == before


def test_a_lock_that_does_not_fit_says_every_reason_and_changes_nothing(shop, other_shop, first, tmp_path):
    with pytest.raises(NotFound, match=r"No edition is applied to this site. Make one of what the site is: rapport ed"):
        build_lock(shop.config)
    shop.apply(first)
    lock = build_lock(shop.config)
    switch_on(other_shop.config, ["loyalty"])
    before = other_shop.digest()
    changed = copy.deepcopy(lock)
    changed["rapport"] = "9.9"
    changed["modules"]["sales"]["hash"] = "other"
    changed["modules"]["teleport"] = {"version": "1.0", "hash": ""}
    with pytest.raises(Conflict) as caught:
        apply_lock(other_shop.config, changed, actor=ACTOR)
    assert str(caught.value) == (
        "The lock of pool_supplies 1.0.0 cannot be applied here: it is of rapport-crm 9.9, and this is 0.1.0; "
        "the code of sales 0.1.0 is not the same here; the module 'teleport' 1.0 is not installed; "
        "the module 'loyalty' is on here and not in the lock: rapport plugins disable loyalty."
    )
    changed = copy.deepcopy(lock)
    changed["modules"] |= {"loyalty": build_lock_module(other_shop, "loyalty")}
    changed["configuration"] = "tampered with"
    with pytest.raises(Conflict, match="The site would not be the same as the locked one, so nothing was changed"):
        apply_lock(other_shop.config, changed, actor=ACTOR)
    assert other_shop.digest() == before
    with other_shop.site() as site:
        assert not site.active("sales")


def build_lock_module(shop, name):
    from rapport.builtin.edition.lock import _module
    from rapport.plugins import discover

    return _module(discover()[name])


def test_a_site_fitted_by_hand_becomes_an_edition_that_makes_an_empty_site_its_equal(shop, other_shop, first, tmp_path):
    shop.apply(first)
    customise(shop)
    folder = tmp_path / "by_hand"
    export_edition(shop.config, folder, name="by_hand", title="By hand", version="1.2.0")
    empty = other_shop.digest()
    outcome = other_shop.apply(read_edition(folder))
    assert outcome.plan.clashes == []
    assert other_shop.listed() == shop.listed()
    assert other_shop.digest() == shop.digest()
    other_shop.rollback()
    assert other_shop.digest() == empty


def test_an_export_holds_only_what_differs_from_what_modules_put_in(shop, tmp_path):
    switch_on(shop.config, ["sales"])
    shop.change(Stage, "Proposal", probability=55)
    shop.change(Stage, "Qualified", title="Checked")
    shop.remove(Stage, "Negotiation")
    shop.add(Role, name="interns", grants={"customer.read": "own", "customer.delete": None})
    shop.set("core.currency", "USD")
    folder = tmp_path / "small"
    export_edition(shop.config, folder, name="small")
    assert sorted(path.name for path in folder.iterdir()) == [
        "edition.toml", "pipeline.toml", "role.toml", "setting.toml"
    ]  # fmt: skip
    assert (folder / "edition.toml").read_text() == (
        'name = "small"\ntitle = "small"\nversion = "0.1.0"\n\n'
        '[modules]\nproducts = ">=0.1.0,<1"\nsales = ">=0.1.0,<1"\n'
    )
    assert (folder / "pipeline.toml").read_text() == (
        '[[pipeline]]\nentity = "sales.opportunity"\nname = "Sales"\n'
        '\n[[pipeline.stage]]\ntitle = "Checked"\nwas = ["Qualified"]\n'
        '\n[[pipeline.stage]]\ntitle = "Proposal"\nprobability = 55\n'
        '\n[[pipeline.stage]]\ntitle = "Negotiation"\nabsent = true\n'
    )
    assert (folder / "role.toml").read_text() == (
        '[[role]]\nname = "interns"\n\n[role.grants]\n"customer.read" = "own"\n"customer.delete" = "none"\n'
    )
    assert (folder / "setting.toml").read_text() == '[setting]\n"core.currency" = "USD"\n'
    with pytest.raises(Conflict, match=r"is not empty\. Name another folder"):
        export_edition(shop.config, folder, name="small")


def test_a_lock_is_readable_line_by_line(shop, first, tmp_path):
    shop.apply(first)
    path = tmp_path / "shop.lock"
    lock = build_lock(shop.config)
    write_lock(lock, path)
    assert json.loads(path.read_text("utf-8")) == json.loads(json.dumps(lock))
    assert (
        sum("stage" in line and "Samples sent" in line for line in path.read_text("utf-8").splitlines()) == 2
    )  # as it is, and as it was given
