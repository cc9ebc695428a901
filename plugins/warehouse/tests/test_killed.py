"""A process that is killed while it refreshes leaves the warehouse as it was, and the next refresh is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from rapport_warehouse import refresh, warehouse
from rapport_warehouse.generations import current, folder_of
from sqlalchemy import func, select

from rapport import Customer

# In a process of its own, which forks for each try: opening a site takes longer than what is tried.
DRIVER = """
import json, os, signal, sys
from pathlib import Path
import duckdb, duckdb_engine, pyarrow  # once, not in each fork
from sqlalchemy import func, select
from rapport import Config, Customer, Site, system
from rapport_warehouse import generations, refresh, store, warehouse

home, url = json.loads(sys.argv[1])
site = Site.open(
    Config(home=Path(home), database_url=url, secret_key="test " * 8, testing=True, plugins=("warehouse",))
)
left = 0

def step(*_anything):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def dying(function):
    def wrapped(*given, **named):
        step()
        result = function(*given, **named)
        step()
        return result
    return wrapped

for name in ("finish", "point_at", "sweep", "open_to_write", "_sync"):
    setattr(generations, name, dying(getattr(generations, name)))
store.shutil.copyfile = dying(store.shutil.copyfile)

def forked(work):
    child = os.fork()
    if not child:
        for engine in (site.db.reading, site.db.writing):
            engine.dispose(close=False)  # they are our parent's
        try:
            os._exit(work() or 0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def count():
    with warehouse(site) as connection:
        return connection.scalar(select(func.count()).select_from(Customer))

made = before = 1
for full, stride in ((False, 2), (True, 15)):
    killed, lived, stop = 0, False, 0
    while not lived:
        stop += stride
        with site.write(system("test")) as unit:
            unit.create(Customer, {"name": str(stop)})
        made += 1
        left = stop
        code = forked(lambda: refresh(site, full=full, tell=step) and 0)
        assert code in (0, -signal.SIGKILL), code
        lived = code == 0
        killed += not lived
        found = forked(count)
        assert found in (before, made), (full, stop, before, found, made)
        assert lived <= (found == made)
        before = found
    print(json.dumps([killed, made]))
"""


# What is killed is the making of files, which knows no difference between databases.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.timeout(300)
@pytest.mark.plugins("warehouse")
def test_killed_at_any_point_the_old_one_counts_or_the_new_one(app, tmp_path):
    app.create_customer(name="0")
    refresh(app.site)
    told = json.dumps([str(tmp_path), app.site.config.database_url])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, told], check=False, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    (by_log, _made), (anew, made) = map(json.loads, done.stdout.split("\n")[:2])
    assert by_log > 7
    assert anew >= 3
    refresh(app.site)
    with warehouse(app.site) as connection:
        assert connection.scalar(select(func.count()).select_from(Customer)) == made
    folder = folder_of(app.site)
    assert {path.name for path in folder.glob("warehouse-*")} == {current(app.site).file}
    assert "current.making" not in os.listdir(folder)
