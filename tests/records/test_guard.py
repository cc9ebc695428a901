"""No query leaves a session without the actor's row scopes, whichever way it is written."""

from __future__ import annotations

import contextlib

import pytest
from sqlalchemy import (
    case,
    column,
    delete,
    exists,
    func,
    insert,
    intersect,
    literal,
    literal_column,
    select,
    table,
    text,
    tuple_,
    union,
    union_all,
    update,
)
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.orm import Bundle, aliased, undefer

from rapport import Customer, Interaction, NotFound, RapportError, system
from rapport.entities import table_of
from tests.torture import tally

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


MORE = {
    "outer join": lambda s: s.execute(
        select(Interaction.subject, Customer.name).outerjoin(Customer, Customer.id == Interaction.customer_id)
    ).all(),
    "join the other way": lambda s: s.execute(
        select(Customer.name, Interaction.subject).outerjoin(Interaction, Customer.id == Interaction.customer_id)
    ).all(),
    "two tables without a join": lambda s: s.execute(select(Interaction.subject, Customer.name)).all(),
    "from": lambda s: s.execute(select(func.lower(Customer.name)).select_from(Customer)).all(),
    "scalar subquery": lambda s: s.execute(
        select(literal("x"), select(Customer.name).where(Customer.name == "Hidden").limit(1).scalar_subquery())
    ).all(),
    "correlated subquery": lambda s: s.execute(
        select(
            Interaction.subject,
            select(Customer.name).where(Customer.id == Interaction.customer_id).scalar_subquery(),
        )
    ).all(),
    "order by what is hidden": lambda s: s.execute(
        select(Interaction.subject)
        .outerjoin(Customer, Customer.id == Interaction.customer_id)
        .order_by(Customer.name.desc())
    ).all(),
    "group": lambda s: s.execute(select(Customer.name, func.count()).group_by(Customer.name)).all(),
    "having": lambda s: s.execute(
        select(Customer.kind, func.max(Customer.name))
        .group_by(Customer.kind)
        .having(func.min(Customer.name) == "Hidden")
    ).all(),
    "distinct": lambda s: s.scalars(select(Customer.name).distinct()).all(),
    "all of a union": lambda s: s.execute(union_all(select(Customer.name), select(Interaction.subject))).all(),
    "intersection": lambda s: s.execute(intersect(select(Customer.name), select(Customer.name))).all(),
    "union of entities": lambda s: s.scalars(
        select(aliased(Customer, union(select(Customer), select(Customer)).subquery()))
    ).all(),
    "alias of a subquery": lambda s: s.scalars(select(aliased(Customer, select(Customer).subquery()))).all(),
    "recursive": lambda s: s.execute(
        select(
            (base := select(Customer.id, Customer.name).cte(recursive=True)).union(
                select(Customer.id, Customer.name).join(base, base.c.id == Customer.id)
            )
        )
    ).all(),
    "window": lambda s: s.execute(select(Customer.name, func.row_number().over(order_by=Customer.name))).all(),
    "lead of a window": lambda s: s.execute(
        select(Customer.name, func.lead(Customer.name).over(order_by=Customer.name.desc()))
    ).all(),
    "case": lambda s: s.execute(select(case((Customer.name == "Hidden", "Hidden"), else_="no"))).all(),
    "maximum": lambda s: s.scalar(select(func.max(Customer.name).filter(Customer.name == "Hidden"))),
    "joined texts": lambda s: s.scalars(select(Customer.name + Customer.kind)).all(),
    "tuple": lambda s: s.scalars(
        select(Customer.name).where(tuple_(Customer.id, Customer.name).in_(select(Customer.id, Customer.name)))
    ).all(),
    "bundle": lambda s: s.execute(select(Bundle("b", Customer.name, Customer.id))).all(),
    "undeferred": lambda s: s.scalars(select(Customer).options(undefer("*"))).all(),
    "a table's column beside": lambda s: s.execute(select(Customer.id, table_of(Customer).c.name)).all(),
    "a table beside": lambda s: s.execute(select(Customer.id, table_of(Customer).alias().c.name)).all(),
    "a table in exists": lambda s: s.scalars(
        select(Interaction.subject).where(exists(select(table_of(Customer).c.id)), Interaction.subject != "About Mine")
    ).all(),
    "text as a column": lambda s: s.execute(select(text("name")).select_from(table_of(Customer))).all(),
    "text as a source": lambda s: s.execute(select(text("name FROM customer"))).all(),
    "a literal as a source": lambda s: s.execute(select(literal_column("name FROM customer"))).all(),
    "a literal in a condition": lambda s: s.scalars(
        select(literal("Hidden")).where(literal_column("EXISTS (SELECT 1 FROM customer WHERE name = 'Hidden')"))
    ).all(),
    "a table named again": lambda s: s.execute(select(table("customer", column("name")))).all(),
    "a column of a table named again": lambda s: s.execute(
        select(Customer.id, table("customer", column("name")).c.name)
    ).all(),
    "columns of text": lambda s: s.execute(text("SELECT name FROM customer").columns(Customer.name)).all(),
    "the query of old": lambda s: s.query(Customer).all(),
    "a column of the query of old": lambda s: s.query(Customer.name).all(),
    "stream": lambda s: list(s.execute(select(Customer.name).execution_options(yield_per=1))),
    "get one": lambda s: s.get_one(Customer, s.info["hidden"]),
    "get": lambda s: s.get(Customer, s.info["hidden"]),
    "get, having met it": lambda s: s.get(Customer, s.info["hidden"], populate_existing=True),
    "merge": lambda s: s.merge(Customer(id=s.info["hidden"])).name,
    "refresh": lambda s: [s.add(found := Customer(id=s.info["hidden"])), s.refresh(found), found.name],
    "a row of one's own making": lambda s: s.scalars(select(Customer).where(Customer.id == s.info["hidden"])).all(),
}
"""More forms of reading, whatever comes of them: nothing hidden."""

CHANGING = {
    "update": lambda s: s.execute(update(Customer).values(name="Taken")),
    "update by key": lambda s: s.execute(
        update(Customer), [{"id": s.info["hidden"], "version": s.info["version"], "name": "Taken"}]
    ),
    "update of a table": lambda s: s.execute(table_of(Customer).update().values(name="Taken")),
    "update by a hidden value": lambda s: s.execute(
        update(Customer).where(Customer.name == "Hidden").values(name="Taken").returning(Customer.name)
    ),
    "delete": lambda s: s.execute(delete(Customer)),
    "delete of a table": lambda s: s.execute(table_of(Customer).delete()),
    "insert from": lambda s: s.execute(
        insert(Interaction).from_select(["subject"], select(Customer.name).where(Customer.name == "Hidden"))
    ),
    "text": lambda s: s.execute(text("UPDATE customer SET name = 'Taken'")),
    "bulk update": lambda s: s.bulk_update_mappings(
        Customer, [{"id": s.info["hidden"], "version": s.info["version"], "name": "Taken"}]
    ),
    "bulk save": lambda s: s.bulk_save_objects(
        [Customer(id=s.info["hidden"], version=s.info["version"], name="Taken")]
    ),
    "merge": lambda s: setattr(s.merge(Customer(id=s.info["hidden"])), "name", "Taken"),
    "query of old": lambda s: s.query(Customer).update({"name": "Taken"}),
    "delete of the query of old": lambda s: s.query(Customer).delete(),
}
"""Forms of writing: what is hidden stays as it is."""


def _met(session, form, hidden):
    """What a form brings; nothing when it is refused."""
    session.info.update(hidden=hidden.id, version=hidden.version)
    try:
        return form(session)
    except (RapportError, SQLAlchemyError):
        session.rollback()
        return "refused"


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning", "ignore::sqlalchemy.exc.SADeprecationWarning")
def test_no_form_of_access_reaches_what_is_hidden(two_worlds):
    app, mia, hidden, _mine = two_worlds
    forms = {**SCOPED, **COUNTED, **REFUSED, **MORE}
    assert len(forms) + len(CHANGING) >= 28
    leaked = [name for name, form in forms.items() if _shows(app, mia, form, hidden)]
    assert leaked == []
    changed = [name for name, form in CHANGING.items() if _changes(app, mia, form, hidden)]
    assert changed == []
    caught = [name for name, form in forms.items() if _shows(app, system("test"), form, hidden)]
    caught += [name for name, form in CHANGING.items() if _changes(app, system("test"), form, hidden)]
    assert len(caught) >= 28
    tally("A4", "forms of access", tried=len(forms) + len(CHANGING), leaked=0, changed=0, control=len(caught))


def _shows(app, actor, form, hidden):
    """Whether somebody sees with it what is hidden."""
    with app.site.read(actor) as reader:
        found = _met(reader.session, form, hidden)
        return "Hidden" in str(found) or str(hidden.id) in str(found)


def _changes(app, actor, form, hidden):
    """Whether somebody changes with it what is hidden; it is taken back in any case."""
    names = ["Hidden"]
    with contextlib.suppress(RapportError, SQLAlchemyError), app.site.write(actor) as unit:
        if _met(unit.session, form, hidden) != "refused":
            unit.session.flush()
            names = unit.session.connection().scalars(select(table_of(Customer).c.name)).all()
        raise RapportError
    return "Hidden" not in names
