"""Several customers become one, with everything that was theirs; and one day later, several again."""

from __future__ import annotations

from rapport import ContactPoint, Customer, Interaction, Relation, Task
from rapport.customers.service import merge, timeline, undo_merge
from rapport.records.log import change_log


def snapshot(app):
    """Every row of every entity, as it is, without when it was touched."""
    left_out = {"version", "updated_at"}
    with app.site.read(app.admin) as reader:
        return {
            (entity.meta.name, record.id): {
                name: getattr(record, name) for name in entity.meta.fields if name not in left_out
            }
            for entity in app.site.entities
            if entity.meta.name not in {"user", "token", "role"}
            for record in reader.all(entity)
        }


def story(app):
    """Ada and her twin, each with a past."""
    firm = app.create_customer(name="Engines Ltd", kind="organisation")
    ada = app.create_customer(name="Ada Lovelace", email="ada@example.com", tags=["vip"], note="Likes numbers.")
    twin = app.create_customer(
        name="A. Lovelace", email="countess@example.com", phone="+33170189900", job_title="Analyst", tags=["press"],
        note="Writes letters.", organisation_id=firm.id,
    )  # fmt: skip
    with app.site.write(app.admin) as unit:
        unit.create(Interaction, {"customer_id": twin.id, "kind": "call", "subject": "Asked for a price"})
        unit.create(Task, {"title": "Call back", "customer_id": twin.id})
        unit.create(Relation, {"customer_id": ada.id, "other_id": twin.id, "kind": "family_of"})
        unit.create(Relation, {"customer_id": twin.id, "other_id": firm.id, "kind": "works_at"})
        unit.create(ContactPoint, {"customer_id": twin.id, "kind": "phone", "value": "+33170189901"})
    app.settle()
    return firm, ada, twin


def test_the_survivor_has_everything_that_was_the_others(make_app):
    with make_app(plugins=["loyalty", "sales"]) as app:
        _firm, ada, twin = story(app)
        merge(app.site, app.admin, ada.id, [twin.id])
        app.settle()
        with app.site.read(app.admin) as reader:
            one = reader.get(Customer, ada.id)
            assert (one.name, one.email, one.phone, one.job_title) == (
                "Ada Lovelace", "ada@example.com", "+33170189900", "Analyst",
            )  # fmt: skip
            assert one.tags == ("vip", "press")
            assert one.note == "Likes numbers.\n\nWrites letters."
            points = {point.value for point in reader.all(ContactPoint, ContactPoint.customer_id == ada.id)}
            assert points == {"countess@example.com", "+33170189901"}
            assert [each.title for each in reader.all(Task, Task.customer_id == ada.id)] == ["Call back"]
            # Nobody is their own family; where she works moved along.
            assert [each.kind for each in reader.all(Relation, Relation.customer_id == ada.id)] == ["works_at"]
            assert "Asked for a price" in {item.title for item in timeline(reader, ada.id).items}
            assert reader.get(Customer, twin.id).archived_at is not None
        assert len(app.cards_of(ada)) == 2


def test_undoing_a_merge_brings_every_row_of_every_plugin_back(make_app):
    with make_app(plugins=["loyalty", "sales"]) as app:
        _firm, ada, twin = story(app)
        before = snapshot(app)
        batch = merge(app.site, app.admin, ada.id, [twin.id])
        app.settle()
        assert snapshot(app) != before
        assert undo_merge(app.site, app.admin, batch) == []
        app.settle()
        assert snapshot(app) == before


def test_what_was_changed_after_the_merge_stays_and_is_told(app):
    _firm, ada, twin = story(app)
    batch = merge(app.site, app.admin, ada.id, [twin.id])
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"job_title": "Mathematician"})
    kept = undo_merge(app.site, app.admin, batch)
    assert len(kept) == 1
    assert "Job title was changed since, so it stays" in kept[0]
    with app.site.read(app.admin) as reader:
        assert reader.get(Customer, ada.id).job_title == "Mathematician"
        assert reader.get(Customer, twin.id).archived_at is None


def test_a_merge_is_in_the_log_as_one_batch_with_who_did_it(app):
    _firm, ada, twin = story(app)
    batch = merge(app.site, app.admin, ada.id, [twin.id])
    with app.site.db.read() as connection:
        rows = connection.execute(change_log.select().where(change_log.c.batch_id == batch)).all()
    assert {row.actor for row in rows} == {"Ada Admin"}
    assert {(row.entity, row.action) for row in rows} >= {
        ("customer", "updated"), ("customer", "archived"), ("interaction", "updated"), ("relation", "deleted"),
    }  # fmt: skip
