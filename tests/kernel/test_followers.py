"""Following the log of changes: in order, each change once, whoever fails, dies or works at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from sqlalchemy import select

from rapport import Customer, Follower, Logged, Task, Unit
from rapport.followers import (
    AT_ONCE,
    MAX_ATTEMPTS,
    STRIDE,
    follow,
    follow_again,
    follow_all,
    follower_table,
    set_aside_table,
    take_places,
)
from rapport.lifecycle import disable, enable
from rapport.testing import TestApp

Following = Callable[[Unit, Sequence[Logged]], None]


def with_follower(app: TestApp, name: str, follow: Following, wants: Collection[str] = ("customer",)) -> None:
    """Have the site followed as if a plugin of that name had brought it."""
    app.site.followers._frozen = False
    app.site.followers.add(name, Follower(f"{name}.follower", follow, lambda site: wants))
    take_places(app.site)


def make(app: TestApp, *names: str) -> None:
    with app.site.write(app.admin) as unit:
        for name in names:
            unit.create(Customer, {"name": name})


def tasks(app: TestApp) -> list[str]:
    with app.site.read(app.admin) as reader:
        return [task.title for task in sorted(reader.all(Task), key=lambda task: task.id)]


def greet(unit: Unit, changes: Sequence[Logged]) -> None:
    for change in changes:
        unit.create(Task, {"title": f"Greet {change.changes['name'][1]}"})


def place(app: TestApp, name: str) -> Any:
    with app.site.db.read() as connection:
        return connection.execute(select(follower_table).where(follower_table.c.name == f"{name}.follower")).one()


def aside(app: TestApp) -> list[Any]:
    with app.site.db.read() as connection:
        return list(connection.execute(select(set_aside_table)))


def test_each_change_is_followed_once_and_in_order_from_the_day_somebody_follows(app):
    make(app, "Before")
    with_follower(app, "greeter", greet)
    make(app, "Ada", "Bob")
    app.team("North")  # nothing it wants
    make(app, "Cyd")
    follow_all(app.site)
    follow_all(app.site)
    assert tasks(app) == ["Greet Ada", "Greet Bob", "Greet Cyd"]


def test_many_workers_share_the_following_and_nothing_is_followed_twice(app):
    seen: list[str] = []

    def note(unit: Unit, changes: Sequence[Logged]) -> None:
        greet(unit, changes)
        seen.extend(change.changes["name"][1] for change in changes)

    with_follower(app, "greeter", note)
    names = [f"Customer {number:03}" for number in range(3 * AT_ONCE)]
    written = threading.Event()

    def write() -> None:
        for start in range(0, len(names), 10):
            make(app, *names[start : start + 10])
        written.set()

    def work() -> None:
        while not written.is_set() or follow(app.site):
            follow(app.site)

    threads = [threading.Thread(target=work) for _ in range(4)] + [threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    follow_all(app.site)
    assert sorted(tasks(app)) == [f"Greet {name}" for name in names]
    assert seen == names


def test_who_fails_is_tried_again_and_holds_nobody_up(app, clock):
    broken = {"Bob"}

    def stumble(unit: Unit, changes: Sequence[Logged]) -> None:
        for change in changes:
            if change.changes["name"][1] in broken:
                raise RuntimeError(f"I do not like {change.changes['name'][1]}")
            unit.create(Task, {"title": f"Stumble over {change.changes['name'][1]}"})

    with_follower(app, "stumbler", stumble)
    with_follower(app, "greeter", greet)
    make(app, "Ada", "Bob", "Cyd")
    follow_all(app.site)
    # What came before the change that fails is done, one by one; the order is kept while it is tried again.
    assert sorted(tasks(app)) == ["Greet Ada", "Greet Bob", "Greet Cyd", "Stumble over Ada"]
    assert place(app, "stumbler").error == "RuntimeError: I do not like Bob"
    broken.clear()
    follow_all(app.site)
    assert len(tasks(app)) == 4  # not yet
    clock.forward(seconds=5)
    follow_all(app.site)
    assert tasks(app)[-2:] == ["Stumble over Bob", "Stumble over Cyd"]
    assert place(app, "stumbler").error == ""


def test_what_cannot_be_followed_is_set_aside_and_followed_again_on_purpose(app, clock):
    broken = {"Bob"}

    def stumble(unit: Unit, changes: Sequence[Logged]) -> None:
        greet(unit, changes)
        if any(change.changes["name"][1] in broken for change in changes):
            raise SystemExit("no more")

    with_follower(app, "stumbler", stumble)
    make(app, "Ada", "Bob", "Cyd")
    for _ in range(MAX_ATTEMPTS):
        follow_all(app.site)
        clock.forward(hours=1)
    follow_all(app.site)
    assert tasks(app) == ["Greet Ada", "Greet Cyd"]
    (left,) = aside(app)
    assert left.error == "SystemExit: no more"
    assert follow_again(app.site, left.name, left.seq) == "SystemExit: no more"
    assert len(aside(app)) == 1
    broken.clear()
    assert follow_again(app.site, left.name, left.seq) is None
    assert aside(app) == []
    assert tasks(app) == ["Greet Ada", "Greet Cyd", "Greet Bob"]


def test_a_follower_that_spoils_its_transaction_harms_nobody(app, clock):
    def commits(unit: Unit, changes: Sequence[Logged]) -> None:
        greet(unit, changes)
        unit.session.connection().commit()

    with_follower(app, "spoiler", commits)
    with_follower(app, "greeter", greet)
    make(app, "Ada")
    follow_all(app.site)
    assert tasks(app) == ["Greet Ada"]
    assert "must not" in place(app, "spoiler").error


def test_what_a_follower_changes_is_deeper_than_what_it_answers(app):
    depths: list[int] = []

    def answer(unit: Unit, changes: Sequence[Logged]) -> None:
        depths.extend(change.depth for change in changes)
        if changes[0].depth < 3:
            unit.create(Customer, {"name": "Another"})

    with_follower(app, "echo", answer)
    make(app, "Ada")
    follow_all(app.site)
    assert depths == [0, 1, 2, 3]


def test_what_nobody_wants_costs_no_write_for_each_change(app):
    with_follower(app, "idle", greet, wants=())
    start = place(app, "idle").seq
    make(app, "Ada")
    follow_all(app.site)
    assert place(app, "idle").seq == start
    make(app, *(f"Customer {number}" for number in range(STRIDE)))
    follow_all(app.site)
    assert place(app, "idle").seq > start + STRIDE
    assert tasks(app) == []


FOLLOWING = """
from rapport import Follower, Task, hookimpl

def greet(unit, changes):
    for change in changes:
        unit.create(Task, {"title": "Greet " + change.changes["name"][1]})

@hookimpl
def register_followers(): return [Follower("alpha.greet", greet, lambda site: ["customer"])]
"""


def test_what_happens_while_a_plugin_is_off_passes_it_by(make_app, plugin_on_disk):
    plugin_on_disk("alpha", FOLLOWING)
    with make_app(plugins=["alpha"]) as app:
        app.create_customer(name="Ada")
        disable(app.site.config, "alpha")
    with make_app() as app:
        app.create_customer(name="Bob")
    with make_app(plugins=["alpha"]) as app:
        app.create_customer(name="Cyd")
        assert tasks(app) == ["Greet Ada", "Greet Cyd"]


@pytest.mark.parametrize("name", ["greet", "beta.greet"])
def test_a_follower_is_named_after_its_plugin(app, plugin_on_disk, name):
    plugin_on_disk("alpha", FOLLOWING.replace("alpha.greet", name))
    with pytest.raises(Exception, match=f"the follower '{name}' must be named 'alpha.<follower>'"):
        enable(app.site.config, "alpha")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whoever_goes_along_the_log_reads_on_from_their_place(app: TestApp) -> None:
    """By the index of kinds it would be all changes of ever, read and sorted."""
    with_follower(app, "greeter", greet)
    make(app, "Ada", "Bob")
    with app.queries() as sent:
        follow_all(app.site)
        assert len(app.client.get("/api/v1/changes?entity=customer").get_json()["items"]) == 2
    along = [each for each in sent if "FROM change_log" in each and "ORDER BY change_log.seq" in each]
    assert along
    with app.site.db.read() as connection:
        for statement in along:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (0,) * statement.count("?")).all()
            assert "ix_change_log_record" not in str(plan), statement
