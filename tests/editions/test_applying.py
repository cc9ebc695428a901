"""An edition fits a site; its next version moves what nobody touched and keeps what the site changed."""

from __future__ import annotations

import pytest
from rapport_sales import Opportunity

from rapport import Conflict, Customer, Invalid, NotFound, Pipeline, PluginError, Stage
from rapport.access.model import Role
from rapport.builtin.edition import diff, own_changes
from rapport.builtin.edition.store import current
from rapport.builtin.web.views import View
from rapport.lifecycle import disable

from .conftest import ADA

PIPELINES = """
[[pipeline]]
entity = "sales.opportunity"
name = "Retailers"
position = 1

[[pipeline.stage]]
title = "Contacted"
position = 0
probability = 10
stale_after_days = 14

[[pipeline.stage]]
title = "Samples sent"
position = 1
probability = {samples}
color = "teal"

[[pipeline.stage]]
title = "Listed"
position = 2
kind = "won"
probability = 100
required_fields = ["amount"]
"""
ROLES = """
[[role]]
name = "marketing"
title = "Marketing"

[role.grants]
"customer.read" = "all"
"customer.export" = "{export}"
"sales.lead.read" = "team"

[[role]]
name = "purchasing"
title = "Purchasing"

[role.grants]
task = "read update:own"
"""
SETTINGS = """
[setting]
"core.name" = "Lagoon Supplies"
"core.currency" = "{currency}"
"sales.default_close_days" = {days}
"""
VIEWS = """
[[view]]
entity = "customer"
name = "Retailers"
filter = 'tags = "retailer"'
sort = "name"
columns = ["name", "phone"]
shared = true
"""
SALES = {"sales": ">=0.1,<1"}


@pytest.fixture
def first(edition):
    """Version 1.0.0."""
    return edition(
        "1.0.0", modules=SALES, pipelines=PIPELINES.format(samples=30), roles=ROLES.format(export="none"),
        settings=SETTINGS.format(currency="USD", days=45), views=VIEWS,
    )  # fmt: skip


@pytest.fixture
def second(edition):
    """Version 2.0.0: some values move, a stage is renamed, a role goes, a stage comes."""
    pipelines = PIPELINES.format(samples=40).replace('title = "Contacted"', 'title = "In touch"\nwas = "Contacted"')
    pipelines += '\n[[pipeline.stage]]\ntitle = "Delisted"\nposition = 3\nkind = "lost"\n'
    return edition(
        "2.0.0", modules=SALES, pipelines=pipelines,
        roles=ROLES.format(export="own").partition('[[role]]\nname = "purchasing"')[0],
        settings=SETTINGS.format(currency="USD", days=60), views=VIEWS.replace('sort = "name"', 'sort = "-updated_at"'),
    )  # fmt: skip


def test_an_edition_switches_its_modules_on_and_fits_the_site(shop, first):
    outcome = shop.apply(first)
    assert outcome.modules == ("products", "sales")
    assert outcome.plan.clashes == []
    there = shop.listed()
    assert there["pipeline/sales.opportunity/Retailers"]["position"] == 1
    assert there["stage/sales.opportunity/Retailers/Listed"] == {
        "pipeline_id": ["sales.opportunity", "Retailers"], "title": "Listed", "position": 2, "kind": "won",
        "probability": 100, "required_fields": ["amount"],
    }  # fmt: skip
    assert there["role/marketing"]["grants"] == {
        "customer.read": "all", "customer.export": None, "sales.lead.read": "team"
    }  # fmt: skip
    assert there["role/purchasing"]["grants"] == {"task.read": "all", "task.update": "own"}
    assert there["setting/core.currency"] == {"value": "USD"}
    assert there["view/customer/Retailers"]["columns"] == ["name", "phone"]
    # The module's own first pipeline stands beside it.
    assert "stage/sales.opportunity/Sales/New" in there
    with shop.site() as site:
        assert site.settings.get("sales.default_close_days") == 45
        assert own_changes_of(shop) == []


def own_changes_of(shop):
    with shop.site() as site, site.read(ADA) as reader:
        now = current(reader.session.connection())
        return own_changes(reader.session, site, now)


def test_applying_it_again_changes_nothing(shop, first):
    shop.apply(first)
    before = shop.digest()
    again = shop.apply(first)
    assert again.plan.steps == []
    assert shop.digest() == before == again.digest


def test_twenty_changes_of_the_site_survive_the_next_version_and_what_it_left_alone_moves(shop, first, second):
    shop.apply(first)
    shop.change(Pipeline, "Retailers", name="Shops", position=5)  # 1, 2
    shop.change(Stage, "Contacted", probability=12, color="pink", stale_after_days=7)  # 3, 4, 5
    shop.change(Stage, "Samples sent", title="Box sent", color="lime")  # 6, 7
    shop.change(Stage, "Listed", required_fields=["amount", "closed_on"], position=9)  # 8, 9
    shop.change(Role, "marketing", title="Marketing & PR",  # 10, and 11 to 13 within one field
                grants={"customer.read": "team", "customer.export": None, "sales.lead.read": "team",
                        "sales.lead.create": "own", "sales.lead.update": "own"})  # fmt: skip
    shop.change(View, "Retailers", columns=["name", "email"], filter='tags = "shop"')  # 14, 15
    shop.set("core.name", "Blue Lagoon")  # 16
    shop.add(Role, name="interns", title="Interns")  # 17
    shop.add(Stage, pipeline_id=str(shop.find(Pipeline, "Shops").id), title="Waiting", position=7)  # 18
    shop.change(Stage, "Proposal", probability=55)  # 19: of the module's own pipeline
    shop.archive(Pipeline, "Sales")  # 20
    mine = shop.listed()

    outcome = shop.apply(second)
    assert outcome.plan.clashes == []
    there = shop.listed()
    shops = "stage/sales.opportunity/Shops"
    # What the new version moved, and the site had not touched, on the same records and within the same field.
    moved = {
        f"{shops}/In touch": {**mine[f"{shops}/Contacted"], "title": "In touch"},
        f"{shops}/Box sent": {**mine[f"{shops}/Box sent"], "probability": 40},
        "role/marketing": {
            **mine["role/marketing"], "grants": {**mine["role/marketing"]["grants"], "customer.export": "own"}
        },
        "setting/sales.default_close_days": {"value": 60},
        "view/customer/Retailers": {**mine["view/customer/Retailers"], "sort": "-updated_at"},
        f"{shops}/Delisted": there[f"{shops}/Delisted"],
    }  # fmt: skip
    gone = {f"{shops}/Contacted", "role/purchasing"}
    assert there == {key: values for key, values in {**mine, **moved}.items() if key not in gone}
    # And the page can say what is the site's own.
    assert {(each.item.rpartition("/")[2], each.field) for each in own_changes_of(shop) if each.what == "changed"} == {
        ("Retailers", "name"), ("Retailers", "position"), ("In touch", "probability"), ("In touch", "color"),
        ("In touch", "stale_after_days"), ("Samples sent", "title"), ("Samples sent", "color"),
        ("Listed", "required_fields"), ("Listed", "position"), ("marketing", "title"), ("marketing", "grants"),
        ("Retailers", "columns"), ("Retailers", "filter"), ("core.name", "value"),
        ("Proposal", "probability"), ("Sales", "archived"),
    }  # fmt: skip
    assert {each.item for each in own_changes_of(shop) if each.what == "added"} == {
        "role/interns", f"{shops}/Waiting"
    }  # fmt: skip


def test_where_both_changed_something_the_sites_word_stays_and_is_listed_until_one_takes_the_editions(
    shop, first, second
):
    shop.apply(first)
    shop.change(Stage, "Samples sent", probability=35)
    shop.change(Role, "purchasing", title="Buyers")
    shop.set("sales.default_close_days", 20)
    shop.remove(Stage, "Contacted")
    outcome = shop.apply(second)
    samples = "stage/sales.opportunity/Retailers/Samples sent"
    assert {(each.item, each.field, each.base, each.wanted, each.here, each.why) for each in outcome.plan.clashes} == {
        (samples, "probability", 30, 40, 35, "Both changed it."),
        ("setting/sales.default_close_days", "value", 45, 60, 20, "Both changed it."),
        ("role/purchasing", "", None, None, None,
         "The new version drops it; it was changed on this site, so it stays."),
        ("stage/sales.opportunity/Retailers/In touch", "", None, None, None,
         "It was removed on this site; the new version changes it."),
    }  # fmt: skip
    there = shop.listed()
    assert there[samples]["probability"] == 35
    assert there["role/purchasing"]["title"] == "Buyers"
    assert "stage/sales.opportunity/Retailers/In touch" not in there
    with pytest.raises(NotFound, match=r"The edition has no item 'stage/sales.opportunity/Retailers/Sample sent'. Did "
                                       r"you mean 'stage/sales.opportunity/Retailers/Samples sent'\?"):  # fmt: skip
        shop.apply(second, take=["stage/sales.opportunity/Retailers/Sample sent"])
    taken = shop.apply(second, take=[samples, "stage/sales.opportunity/Retailers/In touch"])
    assert taken.plan.clashes == []
    there = shop.listed()
    assert there[samples]["probability"] == 40
    assert there["stage/sales.opportunity/Retailers/In touch"]["probability"] == 10
    assert there["setting/sales.default_close_days"] == {"value": 20}


def test_a_look_ahead_tells_all_of_it_and_changes_nothing(shop, first, second):
    outcome = diff(shop.config, first)
    assert (outcome.modules, outcome.later) == (("sales",), True)
    assert {step.action for step in outcome.plan.steps} == {"create", "update"}  # a setting is always there
    shop.apply(first)
    shop.change(Stage, "Samples sent", probability=35)
    before = shop.digest()
    outcome = diff(shop.config, second)
    assert shop.digest() == before == outcome.digest
    assert [(each.field, each.here) for each in outcome.plan.clashes] == [("probability", 35)]
    told = {("/".join(step.key), step.action, *step.values) for step in outcome.plan.steps}
    assert ("stage/sales.opportunity/Retailers/In touch", "update", "title") in told
    assert ("role/purchasing", "remove") in told
    done = shop.apply(second)
    assert {("/".join(step.key), step.action, *step.values) for step in done.plan.steps} == told


def test_the_way_back_is_exact_whichever_step_is_taken_back(shop, first, second):
    empty = shop.digest()
    shop.apply(first)
    shop.change(Stage, "Contacted", probability=12, color="pink")
    shop.change(Role, "marketing", grants={"customer.read": "own"})
    shop.set("core.name", "Blue Lagoon")
    customised = shop.digest()
    ids = {name: shop.find(Role, name).id for name in ("marketing", "purchasing")}
    shop.apply(second)
    assert shop.digest() != customised
    outcome = shop.rollback()
    assert (outcome.version, outcome.plan.clashes, outcome.kept) == ("2.0.0", [], [])
    assert shop.digest() == customised == outcome.digest
    assert {name: shop.find(Role, name).id for name in ids} == ids, "what went comes back as itself"
    # The former version counts again: upgrading anew does what it did.
    shop.apply(second)
    assert shop.rollback().digest == customised
    # What the site changed in the meantime is kept, and said.
    back = shop.rollback()
    assert back.modules == ("sales", "products")
    assert {(each.item, each.why) for each in back.plan.clashes} == {
        ("stage/sales.opportunity/Retailers/Contacted", "It was changed since, so it stays as it is."),
        ("role/marketing", "It was changed since, so it stays as it is."),
        ("setting/core.name", "It was changed since, so it stays as it is."),
    }
    assert shop.digest() != empty
    with pytest.raises(NotFound, match="No edition is applied to this site, so there is nothing to take back"):
        shop.rollback()


def test_the_first_application_is_taken_back_to_the_site_before_it(shop, first):
    empty = shop.digest()
    shop.apply(first)
    outcome = shop.rollback()
    assert (outcome.modules, outcome.plan.clashes, outcome.kept) == (("sales", "products"), [], [])
    assert shop.digest() == empty == outcome.digest
    with shop.site() as site:
        assert not site.active("sales")
    # And all of it can be had again.
    assert shop.apply(first).plan.clashes == []


def test_what_a_module_put_in_by_itself_moves_and_what_the_site_had_does_not(shop, edition):
    from rapport.builtin.edition.engine import switch_on

    switch_on(shop.config, ["sales"])
    shop.change(Stage, "Qualified", probability=33)
    shop.add(Role, name="marketing", title="Ours")
    own = edition(
        "1.0.0",
        modules=SALES,
        all="""
[[role]]
name = "marketing"
title = "Marketing"
[[pipeline]]
entity = "sales.opportunity"
name = "Sales"
[[pipeline.stage]]
title = "New"
probability = 5
[[pipeline.stage]]
title = "Qualified"
probability = 40
[[pipeline.stage]]
title = "Negotiation"
absent = true
[[pipeline.stage]]
title = "Proposal"
color = "purple"
""",
    )
    before = shop.digest()
    outcome = shop.apply(own)
    why = "The site has one of this name, with another value."
    assert {(each.item.rpartition("/")[2], each.field, each.wanted, each.here, each.why)
            for each in outcome.plan.clashes} == {
        ("marketing", "title", "Marketing", "Ours", why), ("Qualified", "probability", 40, 33, why)
    }  # fmt: skip
    there = shop.listed()
    assert there["stage/sales.opportunity/Sales/New"]["probability"] == 5
    assert "stage/sales.opportunity/Sales/Negotiation" not in there
    # The next version no longer speaks of the stages: they become again what the module made them.
    outcome = shop.apply(edition("1.1.0", modules=SALES, all=""))
    assert outcome.plan.clashes == []
    assert shop.digest() == before
    shop.rollback()
    assert shop.listed() == there
    shop.rollback()
    assert shop.digest() == before


def test_what_is_in_use_stays_and_says_by_what(shop, first, second, edition):
    shop.apply(first)
    with shop.site() as site, site.write(ADA) as unit:
        customer = unit.create(Customer, {"name": "Splash"})
        stage = unit.reader.all(Stage, Stage.title == "Samples sent")[0]
        unit.create(Opportunity, {"customer_id": str(customer.id), "stage_id": str(stage.id), "name": "Chlorine"})
    outcome = shop.apply(edition("1.1.0", modules=SALES))
    assert [(each.item, each.why) for each in outcome.kept] == [
        ("stage/sales.opportunity/Retailers/Samples sent", "It is still used by opportunities, so it stays."),
        ("pipeline/sales.opportunity/Retailers", "It is still used by stages, so it stays."),
    ]


def test_faults_of_an_edition_say_where_and_leave_the_site_as_it_was(shop, edition):
    before = shop.digest()

    def told(**files):
        made = edition("1.0.0", modules=SALES, **files)
        with pytest.raises(Invalid) as caught:
            shop.apply(made)
        for path in made.folder.glob("*.toml"):
            path.unlink()
        assert shop.digest() == before
        with shop.site() as site:
            assert not site.active("sales")
        return str(caught.value)

    assert told(roles="[[rolle]]\nname = 'x'") == (
        "roles.toml, rolle number 1: there is no configuration of the kind 'rolle' here. Did you mean 'role'?"
    )
    assert told(roles="[[role]]\nname = 'x'\ntitel = 'X'") == (
        "roles.toml, role number 1: 'titel' is not a field of role. Did you mean 'title'?"
    )
    assert told(roles="[[role]]\ntitle = 'X'") == (
        "roles.toml, role number 1: 'name' is missing. A role is told from others by its name."
    )
    assert told(roles="[[role]]\nname = 'x'\n[[role]]\nname = 'x'") == (
        "roles.toml, role number 2 and roles.toml, role number 1 are both role/x. Take one out."
    )
    assert told(all="[[stage]]\npipeline_id = ['sales.opportunity', 'Nowhere']\ntitle = 'x'") == (
        "all.toml, stage number 1: stage/sales.opportunity/Nowhere/x refers to pipeline/sales.opportunity/Nowhere, "
        "which neither the edition nor the site has."
    )
    assert told(all="[setting]\n'sales.default_close_days' = 'soon'") == (
        "all.toml, setting sales.default_close_days: value must be a whole number, such as 42."
    )
    assert told(all="[setting]\n'sales.colour' = 'blue'") == (
        "all.toml, setting sales.colour: no active plugin has this setting. "
        "Name the plugin that has it under [modules]."
    )


def test_modules_that_cannot_be_had_are_all_named_before_anything_happens(shop, edition):
    wanting = edition("1.0.0", modules={"sales": ">=7", "teleport": "*"})
    with pytest.raises(PluginError) as caught:
        shop.apply(wanting)
    assert str(caught.value) == (
        "pool_supplies 1.0.0 cannot be applied: it needs sales >=7, and 0.1.0 is installed: "
        "pip install --upgrade 'rapport-sales>=7'; the module 'teleport' is not installed: "
        "pip install 'rapport-teleport'."
    )


def test_an_older_version_is_refused_with_the_way_back(shop, first, second):
    shop.apply(second)
    with pytest.raises(Conflict, match=r"This site has pool_supplies 2.0.0, which is newer than 1.0.0. To go back to"):
        shop.apply(first)


def test_what_belongs_to_a_module_that_is_off_by_now_stays_and_the_rest_goes_back(shop, first):
    shop.apply(first)
    disable(shop.config, "sales")
    outcome = shop.rollback()
    assert [(each.item, each.why) for each in outcome.plan.clashes] == [
        ("setting:sales.default_close_days", "Its module is off, so it stays as it is.")
    ]
    assert "role/marketing" not in shop.listed()
    assert "setting/core.name" not in shop.listed()
