"""No query leaves a session without the actor's row scopes, whichever way it is written."""

from __future__ import annotations

import pytest
from sqlalchemy import exists, func, select, text, union
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError
from sqlalchemy.orm import aliased

from rapport import Customer, Interaction, NotFound, RapportError
from rapport.entities import table_of

SCOPED = {
    "entity": lambda s: s.scalars(select(Customer)).all(),
    "columns": lambda s: s.execute(select(Customer.name)).all(),
    "alias": lambda s: s.scalars(select(aliased(Customer))).all(),
    "subquery": lambda s: s.execute(select(select(Customer.name).subquery())).all(),
    "cte": lambda s: s.execute(select(select(Customer.name).cte())).all(),
    "union": lambda s: s.execute(union(select(Customer.name), select(Customer.name))).all(),
    "in": lambda s: s.scalars(select(Customer).where(Customer.id.in_(select(Customer.id)))).all(),
    "join": lambda s: s.execute(
        select(Interaction.subject).join(Customer, Customer.id == Interaction.customer_id)
    ).all(),
    "child": lambda s: s.scalars(select(Interaction)).all(),
}
COUNTED = {
    "count": lambda s: s.scalar(select(func.count(Customer.id))),
    "exists": lambda s: 1 + s.scalar(select(select(Customer.id).where(Customer.name == "Hidden").exists())),
}
REFUSED = {
    "text": lambda s: s.execute(text("SELECT name FROM customer")).all(),
    "bare table": lambda s: s.execute(select(table_of(Customer).c.name)).all(),
    "from_statement": lambda s: s.execute(select(Customer).from_statement(text("SELECT * FROM customer"))).all(),
    "bare table in a subquery": lambda s: s.execute(select(select(table_of(Customer).c.name).subquery())).all(),
    "exists of no entity": lambda s: s.scalar(select(exists().where(Customer.name == "Hidden"))),
    "bare table beside an entity": lambda s: s.execute(select(Customer.id, table_of(Interaction).c.subject)).all(),
}


@pytest.fixture
def two_worlds(app):
    """A member who sees only their own, and somebody else's customer beside theirs."""
    with app.site.write(app.admin) as unit:
        from rapport.access import Role

        unit.create(Role, {"name": "own_only", "grants": {"customer.read": "own", "interaction.read": "all"}})
    other = app.user("Otto Other")
    mia = app.user("Mia Mine", roles=["own_only"])
    hidden = app.create_customer(name="Hidden", owner_id=str(other.id))
    mine = app.create_customer(name="Mine", owner_id=str(mia.id))
    with app.site.write(app.admin) as unit:
        for customer in (hidden, mine):
            unit.create(Interaction, {"customer_id": customer.id, "kind": "note", "subject": f"About {customer.name}"})
    return app, mia, hidden, mine


@pytest.mark.parametrize("form", SCOPED)
def test_every_form_of_select_is_scoped(two_worlds, form):
    app, mia, _hidden, _mine = two_worlds
    with app.site.read(mia) as reader:
        found = SCOPED[form](reader.session)
        assert len(found) == 1
        assert "Hidden" not in str(found)


@pytest.mark.parametrize("form", COUNTED)
def test_counts_tell_nothing_of_hidden_rows(two_worlds, form):
    app, mia, _hidden, _mine = two_worlds
    with app.site.read(mia) as reader:
        assert COUNTED[form](reader.session) == 1


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_be_scoped_is_refused(two_worlds, form):
    app, mia, _hidden, _mine = two_worlds
    with app.site.read(mia) as reader, pytest.raises(RapportError):
        REFUSED[form](reader.session)


def test_an_object_already_loaded_by_another_way_is_not_handed_out(two_worlds):
    app, mia, hidden, mine = two_worlds
    with app.site.read(mia) as reader:
        assert reader.session.get(Customer, hidden.id) is None
        assert reader.session.get(Customer, mine.id).name == "Mine"
        with pytest.raises(NotFound):
            reader.get(Customer, hidden.id)


def test_what_is_part_of_a_hidden_record_is_hidden_too(two_worlds):
    app, mia, _hidden, _mine = two_worlds
    with app.site.read(mia) as reader:
        assert [i.subject for i in reader.all(Interaction)] == ["About Mine"]
        assert reader.search("About") == reader.search("Mine", entities=["interaction"])


def test_a_team_sees_its_own(app):
    north, south = app.team("North"), app.team("South")
    with app.site.write(app.admin) as unit:
        from rapport.access import Role

        unit.create(Role, {"name": "team_only", "grants": {"customer.read": "team"}})
    nora = app.user("Nora North", roles=["team_only"], teams=[north])
    app.create_customer(name="Ours", team_id=str(north.id))
    app.create_customer(name="Theirs", team_id=str(south.id))
    with app.site.read(nora) as reader:
        assert [customer.name for customer in reader.all(Customer)] == ["Ours"]


def test_a_reading_connection_cannot_write(app):
    with app.site.db.read() as connection, pytest.raises((OperationalError, ProgrammingError, InternalError)):
        connection.execute(table_of(Customer).delete())
