"""A new plugin's entity is configuration from the day it names its natural key; the example in the docs is one."""

from __future__ import annotations

import re
import uuid

from rapport.builtin.edition import export_edition, read_edition
from tests.architecture.subjects import ROOT
from tests.kernel.conftest import plugin_on_disk

from .conftest import ADA

__all__ = ["plugin_on_disk"]  # a fixture
DOC = (ROOT / "docs" / "building-an-edition.md").read_text("utf-8")
FRAME = """
from sqlalchemy.orm import Mapped
from rapport import Entity, field, hookimpl, ref
from rapport import UUID

{example}

class Gift(Entity, name="loyalty.gift", title="Gift", natural_key=("tier_id", "name")):
    tier_id: Mapped[UUID] = ref("loyalty.tier")
    name: Mapped[str] = field(label="Name")

@hookimpl
def register_entities():
    return [Tier, Gift]
"""
TIERS = """
[["loyalty.tier"]]
name = "Gold"
points = {gold}

[["loyalty.tier"."loyalty.gift"]]
name = "Towel"

[["loyalty.tier"]]
name = "Silver"
points = 100
"""


def test_it_is_applied_upgraded_exported_and_taken_back(shop, other_shop, edition, plugin_on_disk, tmp_path):
    (example,) = re.findall(r"^```python\n(.*?)^```$", DOC, re.M | re.S)
    name = f"loyal{uuid.uuid4().hex[:6]}"  # a process defines an entity once
    plugin_on_disk(name, FRAME.format(example=example).replace("loyalty.", f"{name}."))

    def version(number, gold):
        return edition(number, modules={name: "*"}, tiers=TIERS.format(gold=gold).replace("loyalty.", f"{name}."))

    empty = shop.digest()
    shop.apply(version("1.0.0", 500))
    with shop.site() as site, site.write(ADA) as unit:
        tier, gift = site.entities[f"{name}.tier"], site.entities[f"{name}.gift"]
        unit.update(unit.reader.all(tier, tier.name == "Gold")[0], {"name": "Platinum"})
        unit.create(gift, {"tier_id": str(unit.reader.all(tier, tier.name == "Silver")[0].id), "name": "Cap"})
    mine = shop.digest()
    shop.apply(version("2.0.0", 600))
    there = shop.listed()
    assert there[f"{name}.tier/Platinum"] == {"name": "Platinum", "points": 600}
    assert there[f"{name}.gift/Platinum/Towel"] == {"tier_id": ["Platinum"], "name": "Towel"}
    export_edition(shop.config, tmp_path / "out", name="out")
    other_shop.apply(read_edition(tmp_path / "out"))
    assert other_shop.listed() == there
    shop.rollback()
    assert shop.digest() == mine
    shop.remove_all(f"{name}.gift", "Cap")
    with shop.site() as site, site.write(ADA) as unit:
        tier = site.entities[f"{name}.tier"]
        unit.update(unit.reader.all(tier, tier.name == "Platinum")[0], {"name": "Gold"})
    outcome = shop.rollback()
    assert (outcome.plan.clashes, shop.digest()) == ([], empty)
