"""What a site does beside answering requests, timed once each: lists in and out, many changes at once, merging, telling
others, jobs; and what the database alone does with the same rows. `run.py` calls these on the site that it made.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import http.server
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import event, select

from benchmarks.http_load import Ask, Story
from benchmarks.making import FAMILY, GIVEN
from rapport import Customer
from rapport.access import Actor, User
from rapport.app import create_app
from rapport.builtin.webhooks.model import Webhook
from rapport.config import load_config
from rapport.entities import table_of
from rapport.followers import follow_all
from rapport.site import Site
from rapport.worker import Worker

Figures = dict[str, float]
ROWS = 100_000
"""Of the list that is imported; the start of the command, a second of work, is among what is measured."""
ENDPOINTS, CHANGES = 10, 50
JOBS = 500
TRIES = 40


# Statements ----------------------------------------------------------------------------------------------------------


def statements(home: Path, stories: dict[str, Story]) -> dict[str, float]:
    """How many statements one request of each story costs, when the process has been at work for a while."""
    app = create_app(load_config(home))
    site: Site = app.extensions["rapport"]
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    for engine in (site.db.reading, site.db.writing):
        event.listen(engine, "before_cursor_execute", note)
    try:
        return {name: _statements(app, story, sent) for name, story in stories.items()}
    finally:
        site.close()


def _statements(app: Flask, story: Story, sent: list[str]) -> float:
    client, telling = app.test_client(use_cookies=False), story(63)
    ask, counts = next(telling), []
    while len(counts) < 4:
        sent.clear()
        answer = _asked(client, ask)
        if ask.counted:
            counts.append(len(sent))
        ask = telling.send(answer)
    return float(min(counts))


def _asked(client: Any, ask: Ask) -> Any:
    from benchmarks.http_load import Answer

    head, _, body = ask.raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    answer = client.open(path, method=method, headers=headers, data=body)
    if answer.status_code != ask.expected:
        raise SystemExit(
            f"{method} {path} answered {answer.status_code} instead of {ask.expected}: {answer.text[:300]}"
        )
    return Answer(answer.status_code, {key.lower(): value for key, value in answer.headers.items()}, answer.data)


# Lists in and out ----------------------------------------------------------------------------------------------------


def bring_in(command: Sequence[str | Path], home: Path, seed: int) -> Figures:
    """An import at the command line, of people nobody knows yet: rows a second, and the memory it took."""
    rng = random.Random(f"{seed} import")
    mark = f"{time.time():.0f}"
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "people.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["given_name", "family_name", "email", "phone", "job_title", "reference", "language"])
            for n in range(ROWS):
                language = rng.choice(list(GIVEN))
                family = rng.choice(FAMILY[language][0]) + rng.choice(FAMILY[language][1])
                writer.writerow([rng.choice(GIVEN[language]), family, f"new.{mark}.{n}@example.org",
                                 f"+4940{n:08d}", "Buyer", f"N-{mark}-{n}", language])  # fmt: skip
        seconds, worked, megabytes = _run([*command, "import", "customer", file], home)
    return {"rows a second": ROWS / seconds, "rows a second of work": ROWS / worked, "MB": megabytes}


def take_out(command: Sequence[str | Path], home: Path, filter: str) -> Figures:
    """An export at the command line: rows a second, and the memory it took."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "customers.csv"
        seconds, worked, megabytes = _run([*command, "export", "customer", file, "--filter", filter], home)
        with file.open(encoding="utf-8") as made:
            rows = sum(1 for _ in csv.reader(made)) - 1
    return {"rows a second": rows / seconds, "rows a second of work": rows / worked, "MB": megabytes}


MEASURED = """
import resource, subprocess, sys, time
begun = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
took, used = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
sys.stderr.write(done.stderr.decode()[-2000:])
print(took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(done.returncode)
"""


def _run(command: Sequence[str | Path], home: Path) -> tuple[float, float, float]:
    """Seconds, seconds of work, and the most memory in MB, of a command that must succeed.

    From a small process: what one begins counts the memory of who began it.
    """
    words = [sys.executable, "-c", MEASURED, *map(str, command)]
    done = subprocess.run(words, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    took, worked, megabytes = map(float, done.stdout.split())
    return took, worked, megabytes


# Many changes at once ------------------------------------------------------------------------------------------------

Api = Callable[..., Any]


def edit_many(api: Api, ids: Sequence[str], count: int = 1000) -> Figures:
    """A bulk request that gives a thousand customers a note, in one transaction: records a second."""
    found = json.loads(api("GET", "/api/v1/customer?limit=200&fields=id,version"))
    items = found["items"]
    while len(items) < count and found.get("next"):
        found = json.loads(api("GET", f"/api/v1/customer?limit=200&fields=id,version&cursor={found['next']}"))
        items += found["items"]
    lines = [json.dumps({"op": "update", "id": each["id"], "version": each["version"],
                         "values": {"note": f"Edited at {time.time()}"}}) for each in items[:count]]  # fmt: skip
    begun = time.monotonic()
    said = api("POST", "/api/v1/customer/bulk?atomic=true", "\n".join(lines).encode(), "application/x-ndjson")
    took = time.monotonic() - begun
    wrong = [line for line in said.splitlines() if json.loads(line)["status"] >= 400]
    if wrong:
        raise SystemExit(f"a bulk edit was refused: {wrong[0]}")
    return {"records a second": len(lines) / took}


def merge_some(api: Api, ids: Sequence[str], pairs: int = 20) -> Figures:
    """Two customers made one, with everything that belongs to them: milliseconds, the median."""
    took = []
    for n in range(pairs):
        survivor, absorbed = ids[-2 * n - 1], ids[-2 * n - 2]
        begun = time.monotonic()
        api("POST", f"/api/v1/customer/{survivor}/merge", json.dumps({"absorbed": [absorbed]}).encode())
        took.append((time.monotonic() - begun) * 1000)
    return {"ms": statistics.median(took), "most ms": max(took)}


# Telling others, and jobs --------------------------------------------------------------------------------------------


class _Heard(http.server.BaseHTTPRequestHandler):
    """Somebody else's server, which takes everything."""

    protocol_version = "HTTP/1.1"
    count = 0
    lock = threading.Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        with _Heard.lock:
            _Heard.count += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def _receiver() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Heard)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def tell_others(home: Path, email: str) -> Figures:
    """Ten webhooks that each hear of fifty changes, with a worker in this process: messages a second, all sent."""
    with _receiver() as port:
        site = Site.open(load_config(home, outbound_allow=[f"127.0.0.1:{port}"]))
        actor = person(site, email)
        try:
            follow_all(site)  # what happened before is nobody's business here
            with site.write(actor) as unit:
                hooks = [
                    unit.create(Webhook, {"name": f"Bench {n}", "url": f"http://127.0.0.1:{port}/{n}",
                                          "events": ["customer.created"]}).id for n in range(ENDPOINTS)
                ]  # fmt: skip
            _Heard.count = 0
            worker = Worker(lambda: site)
            worker.start()
            begun = time.monotonic()
            for n in range(CHANGES):
                with site.write(actor) as unit:
                    unit.create(Customer, {"name": f"Heard of {n}"})
            until = begun + 120
            while _Heard.count < ENDPOINTS * CHANGES and time.monotonic() < until:
                time.sleep(0.01)
            took = time.monotonic() - begun
            worker.stop()
            with site.write(actor) as unit:
                for each in hooks:
                    unit.delete(unit.get(Webhook, each))
        finally:
            site.close()
    return {"messages a second": _Heard.count / took, "lost": max(0, ENDPOINTS * CHANGES - _Heard.count)}


def do_jobs(home: Path, email: str) -> Figures:
    """Jobs that do nothing: asked for one by one, and done in one thread."""
    from benchmarks import jobs
    from rapport import Job

    site = Site.open(load_config(home))
    try:
        site.jobs._frozen = False
        site.jobs.add("bench", Job("bench.nothing", "Nothing", lambda _context: None))
        app: Any = _Someone(site, person(site, email))
        jobs.do_all(app)  # what was due before
        asked, done = jobs.ask(app, JOBS), jobs.do_all(app)
    finally:
        site.close()
    return {"asked for a second": JOBS / asked, "done a second": JOBS / done}


@dataclasses.dataclass
class _Someone:
    site: Site
    admin: Actor


def person(site: Site, email: str) -> Actor:
    """The user with this address, as an actor."""
    users = table_of(User)
    with site.db.read() as connection:
        found = connection.scalar(select(users.c.id).where(users.c.email == email))
    assert found is not None
    actor = site.actor(found)
    assert actor is not None
    return actor.through("api")


# Figures -------------------------------------------------------------------------------------------------------------


def fill_warehouse(command: Sequence[str | Path], home: Path) -> Figures:
    """The copy that figures are counted in, filled from nothing or brought up to date: seconds and memory."""
    seconds, worked, megabytes = _run([*command, "warehouse", "refresh"], home)
    return {"s": seconds, "s of work": worked, "MB": megabytes}


def ask_figures(home: Path, email: str) -> Figures:
    """A dashboard's question, of every interaction: by month and kind, milliseconds by the median."""
    from rapport_warehouse import Question, answer

    site = Site.open(load_config(home))
    asked = Question(measures=("core.interactions",), rows=("date.month",), columns=("core.interaction_kind",))
    try:
        with site.read(person(site, email)) as reader:
            took = _median([lambda: answer(reader, asked)] * 5)
    finally:
        site.close()
    return {"ms": took * 1000}


# The database alone, and what rights cost ----------------------------------------------------------------------------


def database(home: Path) -> Figures:
    """The same rows, asked of the driver without Rapport: one connection, microseconds by the median."""
    site = Site.open(load_config(home))
    table = table_of(Customer)
    try:
        with site.db.read() as connection:
            ids = [row[0] for row in connection.execute(select(table.c.id).limit(TRIES * 5))]
        one = "SELECT * FROM customer WHERE id = "
        listing = "SELECT * FROM customer WHERE language = 'fr' AND archived_at IS NULL ORDER BY name_key, id LIMIT 50"
        with site.db.reading.connect() as connection:
            raw: Any = connection.connection.driver_connection
            mark = "?" if site.db.is_sqlite else "%s"
            values = [(each.hex if site.db.is_sqlite else each,) for each in ids]
            get = _median([lambda value=value: raw.execute(one + mark, value).fetchall() for value in values])
            lists = _median([lambda: raw.execute(listing).fetchall() for _ in range(TRIES)])
        with site.db.writing.connect() as connection:
            raw = connection.connection.driver_connection
            raw.execute("CREATE TABLE bench_scratch (id INTEGER, text TEXT)")
            raw.commit()

            def insert() -> None:
                raw.execute("BEGIN")
                raw.execute("INSERT INTO bench_scratch VALUES (1, 'a row of a hundred letters or so')")
                raw.commit()

            put = _median([insert for _ in range(TRIES * 5)])
            raw.execute("DROP TABLE bench_scratch")
            raw.commit()
    finally:
        site.close()
    return {"get µs": get * 1e6, "list of 50 µs": lists * 1e6, "insert and commit µs": put * 1e6}


def rights(home: Path, email: str) -> Figures:
    """The same list for somebody who may read everything, and for one who may read their own: here the same records."""
    site = Site.open(load_config(home))
    try:
        boss = person(site, email)
        reach = {"customer.read": "own"}
        clerk = dataclasses.replace(boss, is_admin=False, roles=frozenset({"clerk"}), grants=reach)  # type: ignore[arg-type]

        def asked(actor: Actor) -> Callable[[], None]:
            def ask() -> None:
                with site.read(actor) as reader:
                    found = reader.page(Customer, filter='language = "fr"', sort="name", limit=50)
                assert len(found.items) == 50

            return ask

        free, scoped = [], []
        for _ in range(5):  # by turns: what else the machine does hits both
            free.append(_median([asked(boss)] * TRIES))
            scoped.append(_median([asked(clerk)] * TRIES))
    finally:
        site.close()
    return {"all ms": min(free) * 1000, "own ms": min(scoped) * 1000, "more, %": (min(scoped) / min(free) - 1) * 100}


def _median(works: Sequence[Callable[[], Any]]) -> float:
    took = []
    for work in works:
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


# Starting ------------------------------------------------------------------------------------------------------------


def start(python: str | Path) -> Figures:
    """Seconds until a site with every installed module is open and its pages mounted, the best of three.

    As `rapport serve` does it: nobody looks for rubbish meanwhile.
    """
    code = (
        "import gc; gc.disable()\n"
        "import time; begun, used = time.perf_counter(), time.process_time()\n"
        "import sys; from pathlib import Path\n"
        "from rapport.app import create_app\nfrom rapport.config import load_config\n"
        "app = create_app(load_config(Path(sys.argv[1])))\n"
        "site = app.extensions['rapport']\n"
        "print(time.perf_counter() - begun, time.process_time() - used, len(site.plugins))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        from rapport.config import Config
        from rapport.lifecycle import enable, make_site
        from rapport.plugins import discover

        config = Config(home=Path(folder), secret_key="benchmark" * 4)
        make_site(config)
        enable(config, *sorted(discover()))
        took = []
        for _ in range(3):
            done = subprocess.run([str(python), "-c", code, folder], capture_output=True, text=True, check=True,
                                  env={**os.environ, "RAPPORT_SECRET_KEY": "benchmark" * 4})  # fmt: skip
            seconds, worked, modules = done.stdout.split()
            took.append((float(worked), float(seconds)))
    return {"s of work": min(took)[0], "s": min(seconds for _, seconds in took), "modules": float(modules)}
