"""How fast Rapport is, beside a bare Flask endpoint on the same machine in the same minutes.

    python benchmarks/run.py                     a site of 100,000 customers on SQLite, two workers
    python benchmarks/run.py --customers 5000 --seconds 3      a quick look
    python benchmarks/run.py --keep /somewhere   keep the site; a second run finds it and loads nothing

Prints one table and writes benchmarks/results/<date>.json. Figures of different machines are compared by the ratio
to the bare endpoint, measured before and after each line, so the aims are ratios too.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
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
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.http_load import Answer, Ask, Outcome, Story, drive, request, same

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("RAPPORT_SHARED", ROOT.parent / "shared"))
BIN = Path(sys.executable).parent
EMAIL, PASSWORD = "bench@example.com", "a long enough password"
WORDS = ["Smith", "Lefèvre", "Dupont", "Anderson", "احمدی", "کریمی", "כהן", "לוי", "王", "Northern Mill", "martin.1"]
BARE = 15_800
"""What the bare endpoint did on the machine where the aims were set."""
AIMS = {"get": 0.25, "list": 370 / BARE, "create": 790 / BARE, "update": 920 / BARE, "search": 310 / BARE}
"""As shares of the bare endpoint."""
IMPORT_AIM = 20_000
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
        self.import_rate: float | None = None

    def run(self, *words: str, secret: str = "") -> str:
        """One `rapport` command; stops with what it said when it fails."""
        environment = {**os.environ, "RAPPORT_ADMIN_PASSWORD": secret or PASSWORD}
        done = subprocess.run(
            [BIN / "rapport", *words], capture_output=True, text=True, check=False, env=environment, cwd=self.home
        )
        if done.returncode:
            raise SystemExit(f"`rapport {' '.join(words)}` failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def make(self, customers: int, seed: int) -> None:
        """Begin the site and import the customers, timing the import."""
        if (self.home / "rapport.toml").exists():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        base = f"http://127.0.0.1:{self.port}"
        self.run(
            "init",
            str(self.home),
            "--admin-email",
            EMAIL,
            "--admin-name",
            "Bench",
            "--base-url",
            base,
            "--language",
            "en",
        )
        self.run("--home", str(self.home), "plugins", "enable", "sales")
        file = self.home / "customers.csv"
        count = write_customers(file, customers, seed)
        start = time.monotonic()
        self.run("--home", str(self.home), "import", "customer", str(file))
        self.import_rate = count / (time.monotonic() - start)

    def sign_up(self) -> None:
        """A token for the API."""
        said = self.run("--home", str(self.home), "user", "token", EMAIL)
        self.token = said.split()[-1]

    @contextlib.contextmanager
    def served(self, workers: int) -> Iterator[int]:
        """Serve with so many processes; gives the process id."""
        command: list[str | Path] = [
            BIN / "rapport",
            "--home",
            self.home,
            "serve",
            "--workers",
            str(workers),
            "--port",
            str(self.port),
        ]
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


def write_customers(file: Path, count: int, seed: int) -> int:
    """A file of people under the names of our own fields, from the shared generator where it is there."""
    generator = SHARED / "bench" / "gendata.py"
    with tempfile.TemporaryDirectory() as scratch:
        if generator.exists():
            sizes = ["--contacts", str(count), "--deals", "0", "--activities", "0", "--seed", str(seed)]
            subprocess.run([sys.executable, generator, scratch, *sizes], check=True)
            with (Path(scratch) / "contacts.csv").open(encoding="utf-8", newline="") as made:
                people = list(csv.DictReader(made))
        else:
            people = list(_invented(count, random.Random(seed)))
    columns = {"given_name": "first_name", "family_name": "last_name", "email": "email", "phone": "phone",
               "job_title": "title", "reference": "id"}  # fmt: skip
    languages = {"en", "fr", "fa", "he", "zh"}
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([*columns, "language"])
        for person in people:
            language = person["lang"] if person["lang"] in languages else ""
            writer.writerow([*(person[column] for column in columns.values()), language])
    return len(people)


def _invented(count: int, rng: random.Random) -> Iterator[dict[str, str]]:
    names = {
        "en": ("Ada", "Smith"),
        "fr": ("Zoé", "Lefèvre"),
        "fa": ("مریم", "کریمی"),
        "he": ("נועה", "לוי"),
        "zh": ("伟", "王"),
    }
    for number in range(1, count + 1):
        language = rng.choice(list(names))
        first, last = names[language]
        yield {
            "id": str(number), "first_name": first, "last_name": f"{last} {rng.randrange(10_000)}", "title": "Buyer",
            "email": f"person.{number}@example.org", "phone": f"+4930{rng.randrange(10**7):07d}", "lang": language,
        }  # fmt: skip


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


def stories(site: Site, customers: list[dict[str, Any]], seed: int) -> dict[str, Story]:
    """What is asked, by name."""
    host = f"127.0.0.1:{site.port}"
    sign = {"Authorization": f"Bearer {site.token}", "Accept": "application/json"}
    write = {**sign, "Content-Type": "application/json"}
    ids = [customer["id"] for customer in customers]
    moment = int(time.time())
    listing = urllib.parse.urlencode({"filter": 'language = "fr"', "sort": "name", "limit": 50})

    def get(number: int) -> Generator[Ask, Answer, None]:
        rng = random.Random(f"{seed} get {number}")
        while True:
            yield request("GET", f"/api/v1/customer/{rng.choice(ids)}", sign, host=host)

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
    return {
        "get": get,
        "list": same(request("GET", f"/api/v1/customer?{listing}", sign, host=host)),
        "create": create,
        "update": update,
        "search": search,
        "board": same(request("GET", "/sales.opportunity/board", page, host=host)),
        "login page": same(request("GET", "/sign-in", {"Accept": "text/html"}, host=host)),
    }


def fill_board(site: Site, customers: list[dict[str, Any]], count: int = 2000) -> None:
    """Opportunities for the board, a fair share of them in every stage."""
    if json.loads(site.api("GET", "/api/v1/sales.opportunity?limit=1"))["items"]:
        return
    stages = json.loads(site.api("GET", "/api/v1/stage?limit=50"))["items"]
    sales = [stage["id"] for stage in stages if stage.get("kind", "open") == "open"] or [None]
    lines = []
    for number in range(count):
        stage = {"stage_id": sales[number % len(sales)]} if sales[0] else {}
        values = {"name": f"Order {number}", "customer_id": customers[number % len(customers)]["id"],
                  "amount": f"{number * 7 % 9000}.50", "currency": "EUR", **stage}  # fmt: skip
        lines.append(json.dumps({"op": "create", "values": values}))
    for begin in range(0, count, 500):
        body = "\n".join(lines[begin : begin + 500]).encode()
        said = site.api("POST", "/api/v1/sales.opportunity/bulk", body, "application/x-ndjson")
        refused = [line for line in said.splitlines() if json.loads(line).get("status", 201) >= 400]
        if refused:
            raise SystemExit(f"Opportunities were refused: {refused[0]}")


def some_customers(site: Site, wanted: int = 2000) -> list[dict[str, Any]]:
    """Customers to read and change."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while len(found) < wanted:
        answer = json.loads(site.api("GET", f"/api/v1/customer?limit=200&fields=id{cursor}"))
        found += answer["items"]
        if not answer.get("next"):
            break
        cursor = f"&cursor={urllib.parse.quote(answer['next'])}"
    return found


def table(rows: Sequence[Row]) -> str:
    """The table, as text."""
    lines = [
        f"{'':<12}{'per second':>12}{'p50 ms':>9}{'p95 ms':>9}{'bare':>9}{'of bare':>9}{'aim':>9}"
        f"{'cpu ms':>9}{'by cpu':>9}"
    ]
    for row in rows:
        aim = f"{row.aim:.4f}" if row.aim else ""
        best = max(row.ratio, row.work_ratio or 0)
        verdict = "" if row.aim is None else "  reached" if best >= row.aim else "  MISSED"
        work = f"{row.work:>9.2f}{row.work_ratio:>9.4f}" if row.work and row.work_ratio else ""
        wrong = f"  wrong: {dict(row.outcome.wrong)}" if row.outcome.wrong else ""
        lines.append(
            f"{row.name:<12}{row.outcome.per_second:>12,.0f}{row.outcome.p50:>9.2f}{row.outcome.p95:>9.2f}"
            f"{row.bare:>9,.0f}{row.ratio:>9.4f}{aim:>9}{work}{verdict}{wrong}"
        )
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count(),
        "python": platform.python_version(), "load": os.getloadavg(),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure Rapport beside a bare Flask endpoint.")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10, help="for each line of the table")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20240229)
    parser.add_argument("--port", type=int, default=8931)
    parser.add_argument("--keep", type=Path, help="the site's directory, kept for the next run")
    parser.add_argument("--only", default="", help="names of lines, with commas between")
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))

    def measure(story: Story, port: int, process: int) -> tuple[Outcome, float | None]:
        """What was answered, and the processor milliseconds of one answer."""
        before = processor_seconds(process)
        outcome = drive("127.0.0.1", port, story, connections=options.connections, seconds=options.seconds)
        after = processor_seconds(process)
        if before is None or after is None or not outcome.asked:
            return outcome, None
        return outcome, (after - before) * 1000 / outcome.asked

    at = {"machine": machine()}
    bare_port = options.port + 1
    command: list[str | Path] = [
        sys.executable,
        "benchmarks/bare.py",
        "--port",
        str(bare_port),
        "--workers",
        str(options.workers),
    ]
    with contextlib.ExitStack() as stack:
        home = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "site"
        site = Site(home.resolve(), options.port)
        site.make(options.customers, options.seed)
        site.sign_up()
        bare_process = stack.enter_context(serving(command, bare_port, "/"))

        def yardstick() -> tuple[Outcome, float | None]:
            return measure(same(request("GET", "/")), bare_port, bare_process)

        rows = []
        with site.served(options.workers) as process:
            customers = some_customers(site)
            fill_board(site, customers)
            idle = memory(process)
            bare, bare_work = yardstick()
            print(f"bare Flask: {bare.per_second:,.0f} a second", flush=True)
            for name, story in stories(site, customers, options.seed).items():
                if not only or name in only:
                    outcome, work = measure(story, site.port, process)
                    after, after_work = yardstick()
                    # What else the machine does changes by the minute: each line has the bare endpoint on both sides.
                    beside = (bare.per_second + after.per_second) / 2
                    work_beside = (bare_work + after_work) / 2 if bare_work and after_work else None
                    rows.append(Row(name, outcome, beside, AIMS.get(name), work, work_beside))
                    print(f"{name}: {outcome.per_second:,.0f} a second, {rows[-1].ratio:.4f} of bare", flush=True)
                    bare, bare_work = after, after_work
            busy = memory(process)

    print("\n" + table(rows))
    print(f"\nMemory of the workers, MB: {idle} idle, {busy} after the run; aim: below {MEMORY_AIM}.")
    if site.import_rate:
        print(f"Import: {site.import_rate:,.0f} rows a second; aim: {IMPORT_AIM:,}.")
    write_results(options, rows, {**at, "idle_mb": idle, "busy_mb": busy, "import_per_second": site.import_rate})
    return 1 if any(row.outcome.wrong for row in rows) else 0


def write_results(options: argparse.Namespace, rows: Sequence[Row], more: Mapping[str, Any]) -> None:
    """Keep the figures with what they were measured on."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    kept = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "commit": commit, "seed": options.seed,
        "customers": options.customers, "workers": options.workers, "connections": options.connections,
        "seconds": options.seconds, **more,
        "rows": [{**asdict(row), "per_second": row.outcome.per_second, "ratio": row.ratio,
                  "work_ratio": row.work_ratio} for row in rows],
    }  # fmt: skip
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"{dt.datetime.now(dt.UTC):%Y-%m-%d}.json"
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"Written to {file.relative_to(ROOT)}.")


if __name__ == "__main__":
    sys.exit(main())
