"""kill -9 before any write of a worker, and of who asks for work: nothing lost, nothing torn, nothing twice.

Twice there may be only what lies outside the database, and that is said in docs/jobs.md.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from rapport import Config, Customer, Site, Task, enqueue_job, system, utcnow
from rapport.jobs import job_table
from rapport.lifecycle import enable, make_site
from rapport.worker import work
from tests.kernel import deeds
from tests.mortal import Mortals, mortals
from tests.torture import tally

EFFECTS = '''
"""A job with an effect in the database and one outside, and a follower."""
import pathlib
from rapport import Follower, Job, Task, hookimpl

def greet(context, name):
    context.progress(0, 1)
    with (context.site.config.home / "outside.txt").open("a") as file:
        file.write(name + "\\n")
    with context.site.write(context.actor) as unit:
        unit.create(Task, {"title": "Greet " + name})
        context.finish_in(unit.session.connection())

def note(unit, changes):
    for change in changes:
        unit.create(Task, {"title": "Note " + change.changes["name"][1]})

@hookimpl
def register_jobs(): return [Job("effects.greet", "Greet", greet)]

@hookimpl
def register_followers(): return [Follower("effects.note", note, lambda site: ["customer"])]
'''


@dataclass
class Ground:
    """A site, and processes over it that may be killed."""

    config: Config
    site: Site
    mortals: Mortals

    def does(self, what: str, *names: str, kill_at: int) -> bool:
        """Whether a process did it, and was not killed at that write."""
        done = self.mortals.do(self.config, getattr(deeds, what), *names, kill_at=kill_at)
        assert done.how in {"done", "killed"}, done
        return done.how == "done"

    def recover(self) -> None:
        """Another worker, after the leases of the dead one have ended."""
        with self.site.db.write() as connection:
            leased = update(job_table).where(job_table.c.state == "running")
            connection.execute(leased.values(leased_until=utcnow() - dt.timedelta(seconds=1)))
        while work(self.site):
            pass

    def tasks(self) -> Counter[str]:
        with self.site.read(system("test")) as reader:
            return Counter(task.title for task in reader.all(Task))

    def customers(self) -> set[str]:
        with self.site.read(system("test")) as reader:
            return {customer.name for customer in reader.all(Customer)}

    def outside(self) -> Counter[str]:
        path = self.config.home / "outside.txt"
        return Counter(path.read_text("utf-8").split() if path.exists() else [])

    def states(self) -> list[str]:
        with self.site.db.read() as connection:
            ours = select(job_table.c.state).where(job_table.c.name == "effects.greet").order_by(job_table.c.id)
            return list(connection.scalars(ours))


@pytest.fixture
def ground(database_url: str, tmp_path: Path, plugin_on_disk: Any) -> Iterator[Ground]:
    plugin_on_disk("effects", EFFECTS)
    config = Config(home=tmp_path, database_url=database_url, secret_key="k" * 32, testing=True)
    make_site(config)
    enable(config, "effects")
    with contextlib.closing(Site.open(config)) as site, mortals(tmp_path / "installed") as killable:
        while work(site):
            pass
        yield Ground(config, site, killable)


@pytest.mark.timeout(300)  # a process for every write there is
def test_a_worker_may_be_killed_before_any_write(ground: Ground):
    """Each round a customer comes, and a worker dies one write later than the last time; another goes on."""
    found: set[tuple[str, int, int]] = set()
    for number in range(1, 100):
        name = f"N{number}"
        with ground.site.write(system("test")) as unit:
            unit.create(Customer, {"name": name})
            enqueue_job(unit.session.connection(), "effects.greet", {"name": name}, actor=system("test"))
        survived = ground.does("work", kill_at=number)
        found.add((ground.states()[-1], ground.outside()[name], ground.tasks()[f"Greet {name}"]))
        ground.recover()
        assert ground.states()[-1] == "done"
        assert ground.tasks()[f"Greet {name}"] == ground.tasks()[f"Note {name}"] == 1
        assert 1 <= ground.outside()[name] <= 2
        if survived:
            break
    assert survived
    # It died before the job began, in it before and after what it does outside, and after its end.
    assert found == {("waiting", 0, 0), ("running", 0, 0), ("running", 1, 0), ("done", 1, 1)}
    assert max(ground.outside().values()) == 2
    assert set(ground.tasks().values()) == {1}
    tally("D1", "a worker", tried=number, lost=0)
    tally("D5", "a worker killed before, in and after an effect", tried=number, lost=0, twice_in_the_database=0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["together", "apart"])
def test_who_asks_for_work_may_be_killed_before_any_write(ground: Ground, how: str):
    """The control writes the job apart from what it is about: there the same test finds customers nobody greets."""
    for number in range(1, 100):
        if ground.does("ask", f"N{number}", how, kill_at=number):
            break
    ground.recover()
    greeted = {title.removeprefix("Greet ") for title in ground.tasks() if title.startswith("Greet ")}
    assert f"N{number}" in greeted
    assert number > 3
    torn = ground.customers() ^ greeted
    assert bool(torn) == (how == "apart"), torn
    if torn:
        tally("D1", "a worker", control=len(torn))
        tally("D5", "a worker killed before, in and after an effect", control=len(torn))
    else:
        tally("D5", "who asks for work", tried=number, lost=0)
