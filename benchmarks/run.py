"""How fast Rapport is, beside a bare Flask endpoint on the same machine in the same minutes.

    make bench                                                 100,000 and 1,000,000 customers, SQLite and PostgreSQL
    python benchmarks/run.py                                   100,000 customers on SQLite, two workers
    python benchmarks/run.py --customers 5000 --seconds 3      a quick look
    python benchmarks/run.py --customers 100000,1000000 --databases sqlite,postgresql --keep /somewhere
    python benchmarks/run.py --show benchmarks/results/FILE    the tables of a run that was kept

Makes a site with so many customers and ten interactions each, or as many as `--each` says (`making.py`), serves it as
`rapport serve` does, and asks it from eight keep-alive connections. Then times what is no request (`pieces.py`).
Prints tables in Markdown and writes benchmarks/results/<date>-<database>-<customers>.json with the machine, the
commit and the seed. Figures of different machines are compared by the ratio to the bare endpoint, measured before and
after each line: the aims are ratios too.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.cookiejar
import json
import os
import platform
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import pieces
from benchmarks.http_load import Answer, Ask, Outcome, Story, drive, request, same
from benchmarks.making import PER_CUSTOMER, customer_id, differences, make_many
from rapport.config import load_config
from rapport.site import Site as RapportSite
from rapport.testing.databases import fresh_postgres, postgres_server

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
EMAIL, PASSWORD = "bench@example.com", "a long enough password"
WORDS = ["Smith", "Lefèvre", "Dupont", "Anderson", "احمدی", "کریمی", "כהן", "לוי", "王", "Northern Mill", "martin.1"]
BARE = 15_800
"""What the bare endpoint did on the machine where the aims were set."""
AIMS = {
    "get": 3100 / BARE, "list": 370 / BARE, "create": 790 / BARE, "update": 920 / BARE, "search": 310 / BARE,
    "board column": 320 / BARE, "pipeline totals": 750 / BARE, "login page": 2800 / BARE,
}  # fmt: skip
"""As shares of the bare endpoint."""
WITHIN = {"filtered list": 300.0, "customer's page": 500.0}
"""Milliseconds in which nineteen of twenty are to be answered."""
GROWTH_AIM = 1.5
PIECE_AIMS = {
    ("import", "rows a second of work"): (20_000.0, True), ("import", "MB"): (300.0, False),
    ("start", "s of work"): (2.0, False), ("rights", "more, %"): (20.0, False),
}  # fmt: skip
"""What the pieces are to reach: a figure, and whether more is better."""
MEMORY_AIM = 150


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    outcome: Outcome
    bare: float
    """What the bare endpoint did in the same minute, a second."""
    aim: float | None
    work: float | None = None
    """Processor milliseconds of the server for one answer."""
    bare_work: float | None = None

    @property
    def work_ratio(self) -> float | None:
        """The share of the bare endpoint by processor time: that does not depend on what else the machine does."""
        return self.bare_work / self.work if self.work and self.bare_work else None

    @property
    def ratio(self) -> float:
        """The share of the bare endpoint."""
        return self.outcome.per_second / self.bare


class Site:
    """A site in a directory, through its command line only."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port
        self.token = ""
        self.made_in: float | None = None

    def run(self, *words: str, secret: str = "") -> str:
        """One `rapport` command; stops with what it said when it fails."""
        environment = {**os.environ, "RAPPORT_ADMIN_PASSWORD": secret or PASSWORD}
        done = subprocess.run(
            [BIN / "rapport", *words], capture_output=True, text=True, check=False, env=environment, cwd=self.home
        )
        if done.returncode:
            raise SystemExit(f"`rapport {' '.join(words)}` failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    @property
    def command(self) -> list[str | Path]:
        """How every command of this site begins."""
        return [BIN / "rapport", "--home", self.home]

    def make(self, customers: int, each: int, seed: int, database: str) -> None:
        """Begin the site and fill it, unless it is there; a sample is compared with what a real write leaves."""
        if (self.home / "rapport.toml").exists():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        base = f"http://127.0.0.1:{self.port}"
        where = ["--database-url", database] if database else []
        self.run("init", str(self.home), "--admin-email", EMAIL, "--admin-name", "Bench", "--base-url", base,
                 "--language", "en", *where)  # fmt: skip
        self.run("--home", str(self.home), "plugins", "enable", "sales", "dashboards")
        begun = time.monotonic()
        opened = RapportSite.open(load_config(self.home))
        try:
            make_many(opened, customers=customers, each=each, seed=seed, email=EMAIL,
                      say=lambda text: print(text, flush=True))  # fmt: skip
            if wrong := differences(opened, EMAIL):
                raise SystemExit("What was made is not what a write leaves:\n" + "\n".join(wrong))
        finally:
            opened.close()
        self.made_in = time.monotonic() - begun

    def sign_up(self) -> None:
        """A token for the API."""
        said = self.run("--home", str(self.home), "user", "token", EMAIL)
        self.token = said.split()[-1]

    @contextlib.contextmanager
    def served(self, workers: int) -> Iterator[int]:
        """Serve with so many processes; gives the process id."""
        command = [*self.command, "serve", "--workers", str(workers), "--port", str(self.port)]
        with serving(command, self.port, "/health") as process:
            yield process

    def api(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> Any:
        """Ask the API once."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body or None, headers=headers, method=method
        )
        with urllib.request.urlopen(asked) as answer:
            return answer.read().decode()

    def sign_in(self) -> str:
        """Sign in as a browser does; gives the cookie."""
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        address = f"http://127.0.0.1:{self.port}/sign-in"
        page = browser.open(address).read().decode()
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        form = {"email": EMAIL, "password": PASSWORD, "csrf_token": found[1] if found else ""}
        browser.open(urllib.request.Request(address, urllib.parse.urlencode(form).encode(), {"Referer": address}))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


@contextlib.contextmanager
def serving(command: Sequence[str | Path], port: int, path: str) -> Iterator[int]:
    """Run a server until it answers, and stop it at the end."""
    with contextlib.closing(socket.socket()) as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise SystemExit(f"Something else serves at port {port}. Choose another: --port {port + 10}")
    log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the server
    process = subprocess.Popen(
        list(command),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                break
            if process.poll() is not None:
                log.seek(0)
                raise SystemExit(f"The server did not start:\n{log.read().decode()}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def processor_seconds(process: int) -> float | None:
    """What the serving processes have used of the processors, where the system tells (Linux)."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    used = 0
    for pid, parent in pairs:
        if process in {pid, parent}:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
            except OSError:
                return None
            used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> list[int]:
    """Megabytes that each serving process holds, the largest first; the one that only watches them is left out."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return sorted((rss // 1024 for _, parent, rss in rows if parent == process), reverse=True)


def stories(site: Site, ids: Sequence[str], seed: int) -> dict[str, Story]:
    """What is asked, by name; `ids` are those of customers."""
    host = f"127.0.0.1:{site.port}"
    sign = {"Authorization": f"Bearer {site.token}", "Accept": "application/json"}
    write = {**sign, "Content-Type": "application/json"}
    moment = int(time.time())
    listing = urllib.parse.urlencode({"filter": 'language = "fr"', "sort": "name", "limit": 50})

    def search(number: int) -> Generator[Ask, Answer, None]:
        rng = random.Random(f"{seed} search {number}")
        while True:
            asked = urllib.parse.urlencode({"q": rng.choice(WORDS), "limit": 20})
            yield request("GET", f"/api/v1/search?{asked}", sign, host=host)

    def create(number: int) -> Generator[Ask, Answer, None]:
        made = 0
        while True:
            made += 1
            values = {"given_name": "Zoé", "family_name": f"Nouvelle {moment}-{number}-{made}",
                      "email": f"new.{moment}.{number}.{made}@example.org"}  # fmt: skip
            yield request("POST", "/api/v1/customer", write, json.dumps(values).encode(), host=host, expected=201)

    def update(number: int) -> Generator[Ask, Answer, None]:
        rng = random.Random(f"{seed} update {number}")
        own = ids[number::64]  # every connection has customers of its own: nobody waits for a stale version
        tags: dict[str, str] = {}
        while True:
            chosen = rng.choice(own)
            path = f"/api/v1/customer/{chosen}"
            if chosen not in tags:
                tags[chosen] = (yield request("GET", path, sign, host=host, counted=False)).headers["etag"]
            body = json.dumps({"note": f"Called at {time.time()}"}).encode()
            answer = yield request("PATCH", path, {**write, "If-Match": tags[chosen]}, body, host=host)
            tags[chosen] = answer.headers["etag"]

    page = {"Cookie": site.sign_in(), "Accept": "text/html"}
    stages = json.loads(site.api("GET", "/api/v1/stage?limit=50"))["items"]
    stage = next(each["id"] for each in stages if each["kind"] == "open")
    column = urllib.parse.urlencode({"filter": f'stage_id = "{stage}"', "sort": "-stage_entered_at", "limit": 30})
    narrow = urllib.parse.urlencode(
        {"filter": 'tags has "vip" and source = "web" and language = "en"', "sort": "-updated_at"}
    )

    def visit(path: str) -> Story:
        def look(number: int) -> Generator[Ask, Answer, None]:
            rng = random.Random(f"{seed} {path} {number}")
            while True:
                kind = page if path.startswith("/customer") else sign
                yield request("GET", path.replace("ID", rng.choice(ids)), kind, host=host)

        return look

    return {
        "get": visit("/api/v1/customer/ID"),
        "list": same(request("GET", f"/api/v1/customer?{listing}", sign, host=host)),
        "filtered list": same(request("GET", f"/customer?{narrow}", page, host=host)),
        "create": create,
        "update": update,
        "search": search,
        "timeline": visit("/api/v1/customer/ID/timeline?limit=50"),
        "customer's page": visit("/customer/ID"),
        "list page": same(request("GET", "/customer", page, host=host)),
        "board": same(request("GET", "/sales.opportunity/board", page, host=host)),
        "board column": same(request("GET", f"/api/v1/sales.opportunity?{column}", sign, host=host)),
        "pipeline totals": same(request("GET", "/api/v1/sales.pipeline_totals", sign, host=host)),
        "figures page": same(request("GET", "/dashboards/modules", page, host=host)),
        "home page": same(request("GET", "/", page, host=host)),
        "login page": same(request("GET", "/sign-in", {"Accept": "text/html"}, host=host)),
    }


def fill_board(site: Site, ids: Sequence[str], count: int = 2000) -> None:
    """Opportunities for the board, a fair share of them in every stage."""
    if json.loads(site.api("GET", "/api/v1/sales.opportunity?limit=1"))["items"]:
        return
    stages = json.loads(site.api("GET", "/api/v1/stage?limit=50"))["items"]
    sales = [stage["id"] for stage in stages if stage.get("kind", "open") == "open"] or [None]
    lines = []
    for number in range(count):
        stage = {"stage_id": sales[number % len(sales)]} if sales[0] else {}
        values = {"name": f"Order {number}", "customer_id": ids[number % len(ids)],
                  "amount": f"{number * 7 % 9000}.50", "currency": "EUR", **stage}  # fmt: skip
        lines.append(json.dumps({"op": "create", "values": values}))
    for begin in range(0, count, 500):
        body = "\n".join(lines[begin : begin + 500]).encode()
        said = site.api("POST", "/api/v1/sales.opportunity/bulk", body, "application/x-ndjson")
        refused = [line for line in said.splitlines() if json.loads(line).get("status", 201) >= 400]
        if refused:
            raise SystemExit(f"Opportunities were refused: {refused[0]}")


def some_customers(site: Site, count: int, seed: int, wanted: int = 2000) -> list[str]:
    """Ids to read and change, from everywhere among all: the first customers have more interactions than others."""
    chosen = (customer_id(n, count) for n in random.Random(seed).sample(range(count), min(wanted, count)))
    found = []
    for each in chosen:
        with contextlib.suppress(urllib.error.HTTPError):  # merged away in an earlier run
            site.api("GET", f"/api/v1/customer/{each}")
            found.append(str(each))
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count(),
        "python": platform.python_version(), "load": os.getloadavg(),
    }  # fmt: skip


def measured(site: Site, customers: int, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one site: the lines, the memory, and what is no request."""
    only = set(filter(None, options.only.split(",")))

    def measure(story: Story, port: int, process: int) -> tuple[Outcome, float | None]:
        """What was answered, and the processor milliseconds of one answer."""
        before = processor_seconds(process)
        outcome = drive("127.0.0.1", port, story, connections=options.connections, seconds=options.seconds)
        after = processor_seconds(process)
        if before is None or after is None or not outcome.asked:
            return outcome, None
        return outcome, (after - before) * 1000 / outcome.asked

    bare_port = site.port + 1
    command: list[str | Path] = [sys.executable, "benchmarks/bare.py", "--port", str(bare_port), "--workers",
                                 str(options.workers)]  # fmt: skip
    rows: list[Row] = []
    found: dict[str, Any] = {"pieces": {}}
    site.sign_up()
    if not only or "warehouse" in only:  # before anybody is served: else the nightly filling falls into the lines
        found["pieces"]["warehouse"] = pieces.fill_warehouse(site.command, site.home)
        print(f"warehouse: {_said(found['pieces']['warehouse'])}", flush=True)
    with serving(command, bare_port, "/") as bare_process, site.served(options.workers) as process:

        def yardstick() -> tuple[Outcome, float | None]:
            return measure(same(request("GET", "/")), bare_port, bare_process)

        ids = some_customers(site, customers, options.seed)
        fill_board(site, ids)
        told = stories(site, ids, options.seed)
        found["idle_mb"] = memory(process)
        bare, bare_work = yardstick()
        print(f"bare Flask: {bare.per_second:,.0f} a second", flush=True)
        for name, story in told.items():
            if only and name not in only:
                continue
            outcome, work = measure(story, site.port, process)
            after, after_work = yardstick()
            # What else the machine does changes by the minute: each line has the bare endpoint on both sides.
            beside = (bare.per_second + after.per_second) / 2
            work_beside = (bare_work + after_work) / 2 if bare_work and after_work else None
            rows.append(Row(name, outcome, beside, AIMS.get(name), work, work_beside))
            print(f"{name}: {outcome.per_second:,.0f} a second, {rows[-1].ratio:.4f} of bare", flush=True)
            bare, bare_work = after, after_work
        found["busy_mb"] = memory(process)
        if not only or "bulk edit" in only:
            found["pieces"]["bulk edit"] = pieces.edit_many(site.api, ids)
        if not only or "merge" in only:
            found["pieces"]["merge"] = pieces.merge_some(site.api, ids)
    queries = pieces.statements(site.home, {row.name: told[row.name] for row in rows})
    found["rows"] = [
        {**asdict(row), "per_second": row.outcome.per_second, "ratio": row.ratio, "work_ratio": row.work_ratio,
         "queries": queries[row.name]} for row in rows
    ]  # fmt: skip
    others = {
        "import": lambda: pieces.bring_in(site.command, site.home, options.seed),
        "export": lambda: pieces.take_out(site.command, site.home, 'language = "fr"'),
        "webhooks": lambda: pieces.tell_others(site.home, EMAIL),
        "jobs": lambda: pieces.do_jobs(site.home, EMAIL),
        "dashboard": lambda: pieces.ask_figures(site.home, EMAIL),
        "rights": lambda: pieces.rights(site.home, EMAIL),
        "database": lambda: pieces.database(site.home),
        "start": lambda: pieces.start(sys.executable),
    }
    for name, piece in others.items():
        if not only or name in only:
            found["pieces"][name] = piece()
            print(f"{name}: {_said(found['pieces'][name])}", flush=True)
    return found


def _said(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{value:,.{0 if abs(value) >= 100 else 2}f} {name}" for name, value in figures.items())


def tables(kept: Sequence[Mapping[str, Any]]) -> str:
    """The figures of runs as Markdown: those of one database beside each other, the smallest site first."""
    said = []
    for database in dict.fromkeys(run["database"] for run in kept):
        runs = sorted((run for run in kept if run["database"] == database), key=lambda run: int(run["customers"]))
        said += [_lines(run) for run in runs]
        if len(runs) > 1:
            said.append(_growth(runs[0], runs[-1]))
        said.append(_pieces(runs))
    return "\n\n".join(said)


def _lines(run: Mapping[str, Any]) -> str:
    made = f", made in {run['made_in']:,.0f} s" if run.get("made_in") else ""
    interactions = run["customers"] * run.get("each", PER_CUSTOMER)
    lines = [
        f"**{run['database']}, {run['customers']:,} customers, {interactions:,} interactions** "
        f"(commit {run['commit'][:10]}, seed {run['seed']}, {run['date']}, load {run['machine']['load'][0]:.0f}{made})",
        "",
        "| | a second | p50 ms | p95 ms | statements | work ms | of bare, by rate | by work | aim | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in run["rows"]:
        outcome, aim, within = row["outcome"], AIMS.get(row["name"]), WITHIN.get(row["name"])
        verdict = ""
        if outcome["wrong"]:
            verdict = "wrong answers:"
        elif aim is not None:
            verdict = "reached" if max(row["ratio"], row["work_ratio"] or 0) >= aim else "missed"
        elif within is not None:
            verdict = f"{'reached' if outcome['p95'] <= within else 'missed'}: p95 within {within:.0f}"
        work = f"{row['work']:.2f}" if row["work"] else ""
        by_work = f"{row['work_ratio']:.4f}" if row["work_ratio"] else ""
        wrong = f" {outcome['wrong']}" if outcome["wrong"] else ""
        lines.append(
            f"| {row['name']} | {row['per_second']:,.0f} | {outcome['p50']:.1f} | {outcome['p95']:.1f} | "
            f"{row['queries']:.0f} | {work} | {row['ratio']:.4f} | {by_work} | {f'{aim:.4f}' if aim else ''} | "
            f"{verdict}{wrong} |"
        )
    bare = [row["bare"] for row in run["rows"]] or [0.0]
    lines += [
        "",
        f"Bare Flask {min(bare):,.0f} to {max(bare):,.0f} a second. The workers hold {run['idle_mb']} MB when they "
        f"start, {run['busy_mb']} after the run (aim: below {MEMORY_AIM} each).",
    ]
    return "\n".join(lines)


def _growth(small: Mapping[str, Any], large: Mapping[str, Any]) -> str:
    before = {row["name"]: row for row in small["rows"]}
    lines = [
        f"| {large['customers']:,} of {small['customers']:,} customers | by work | by rate | |",
        "|---|---|---|---|",
    ]
    for row in large["rows"]:
        old = before.get(row["name"])
        if old is None or not old["work"] or not row["work"] or old["outcome"]["wrong"] or row["outcome"]["wrong"]:
            continue
        by_work, by_rate = row["work"] / old["work"], old["ratio"] / row["ratio"] if row["ratio"] else float("inf")
        verdict = "reached" if min(by_work, by_rate) <= GROWTH_AIM else f"missed: aim {GROWTH_AIM}"
        lines.append(f"| {row['name']} | {by_work:.2f} times | {by_rate:.2f} times | {verdict} |")
    return "\n".join(lines)


def _pieces(runs: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys((piece, figure) for run in runs for piece, found in run["pieces"].items() for figure in found)
    lines = [
        f"| {runs[0]['database']} | " + " | ".join(f"{run['customers']:,}" for run in runs) + " | aim |",
        "|---|" + "---|" * len(runs) + "---|",
    ]
    for piece, figure in names:
        values = [run["pieces"].get(piece, {}).get(figure) for run in runs]
        shown = " | ".join("" if each is None else f"{each:,.{0 if abs(each) >= 100 else 2}f}" for each in values)
        aim = PIECE_AIMS.get((piece, figure))
        verdict = ""
        if aim is not None:
            last = next(each for each in reversed(values) if each is not None)
            well = last >= aim[0] if aim[1] else last <= aim[0]
            verdict = f"{aim[0]:,.0f}: {'reached' if well else 'missed'}"
        lines.append(f"| {piece}: {figure} | {shown} | {verdict} |")
    return "\n".join(lines)


@contextlib.contextmanager
def homes(options: argparse.Namespace, database: str, customers: int) -> Iterator[tuple[Path, str]]:
    """A directory for a site and the URL of an empty database, kept or not."""
    if options.keep:
        home = options.keep.resolve() / f"{database}-{customers}"
        url = ""
        if database == "postgresql" and not (home / "rapport.toml").exists():
            url = kept_postgres(f"rapport_bench_{customers}")
        yield home, url
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        url = stack.enter_context(fresh_postgres()) if database == "postgresql" else ""
        yield Path(folder) / "site", url


def kept_postgres(name: str) -> str:
    """A new database of this name, which outlives the run."""
    server = postgres_server()
    if server is None:
        raise SystemExit("There is no PostgreSQL. Name one: RAPPORT_TEST_POSTGRES=postgresql+psycopg://user@host/name")
    with create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure Rapport beside a bare Flask endpoint.")
    parser.add_argument("--customers", default="100000", help="how many, with commas between several sizes")
    parser.add_argument("--each", type=int, default=PER_CUSTOMER, help="interactions of each customer")
    parser.add_argument("--databases", default="sqlite", help="sqlite, postgresql (the tests' own, or what "
                        "RAPPORT_TEST_POSTGRES names), or both with a comma between")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=10, help="for each line of the table")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20240229)
    parser.add_argument("--port", type=int, default=8931)
    parser.add_argument("--keep", type=Path, help="where the sites are kept; a second run finds them and makes nothing")
    parser.add_argument("--only", default="", help="names of lines and pieces, with commas between")
    parser.add_argument("--show", type=Path, nargs="+", help="only print the tables of these files")
    options = parser.parse_args()
    if options.show:
        print(tables([json.loads(file.read_text("utf-8")) for file in options.show]))
        return 0
    kept = []
    for database in options.databases.split(","):
        for customers in map(int, options.customers.split(",")):
            with homes(options, database, customers) as (home, url):
                site = Site(home, options.port)
                print(f"{database}, {customers:,} customers", flush=True)
                site.make(customers, options.each, options.seed, url)
                at = machine()
                found = measured(site, customers, options)
            kept.append({
                "date": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"), "commit": commit(), "seed": options.seed,
                "database": database, "customers": customers, "each": options.each, "machine": at,
                "made_in": site.made_in,
                "workers": options.workers, "connections": options.connections, "seconds": options.seconds, **found,
            })  # fmt: skip
            keep(kept[-1])
    print("\n" + tables(kept))
    return 1 if any(row["outcome"]["wrong"] for run in kept for row in run["rows"]) else 0


def commit() -> str:
    """Which code was measured; with a plus when it was changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "HEAD")[:12] + ("+" if git("status", "--porcelain", "-uno") else "")


def keep(run: Mapping[str, Any]) -> None:
    """Keep the figures with what they were measured on."""
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"{run['date'][:10]}-{run['database']}-{run['customers']}.json"
    file.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    print(f"Written to {file.relative_to(ROOT)}.")


if __name__ == "__main__":
    sys.exit(main())
