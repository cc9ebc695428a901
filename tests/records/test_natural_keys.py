"""What has a natural key is configuration: told apart by it on every site, whatever the ids."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Mapped

from rapport import Entity, field
from rapport.entities.base import KNOWN


def test_a_natural_key_names_fields_of_the_entity_only():
    with pytest.raises(ValueError, match=r"The natural key of 'cellar.wine' names 'vintage', which is none of its"):

        class Wine(Entity, name="cellar.wine", natural_key=("name", "vintage")):
            name: Mapped[str] = field(label="Name")


def test_every_reference_in_a_natural_key_points_at_what_has_one_itself(app):
    keyed = {entity.meta.name: entity.meta for entity in app.site.entities if entity.meta.natural_key}
    assert {"pipeline", "stage", "role", "view"} <= keyed.keys()
    for meta in keyed.values():
        for name in meta.natural_key:
            target = meta.fields[name].target
            assert target is None or target in keyed, f"{meta.name}.{name} points at {target}"
    assert "cellar.wine" not in KNOWN
