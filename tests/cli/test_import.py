"""Lists in and out at the terminal: told what a file becomes, what was refused and why, and how to go on."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from rapport import Customer
from rapport.access import system
from rapport.builtin.exchange import imports

from .conftest import EMAIL, Type, opened

SHARED = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[3] / "shared"))
SALES = SHARED / "data" / "01_crm_sales_opportunities"
LIST = "Name,E-mail,Organisation\nAda,ada@example.com,Engines\nBob,bob at home,\nZoé,zoe@example.com,Nowhere\n"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    file = tmp_path / "people.csv"
    file.write_text(LIST, "utf-8")
    return file


def names(home: Path) -> set[str]:
    with opened(home) as site, site.read(system("test")) as reader:
        return {customer.name for customer in reader.all(Customer)}


def test_a_dry_run_tells_what_would_happen_and_keeps_nothing(type_: Type, home: Path, people: Path) -> None:
    told = type_("--home", home, "import", "customer", people, "--dry-run")
    assert told.exit_code == 1
    assert "Organisation  organisation_id  Engines" in told.output
    assert "3 rows: 0 would be new, 3 would be refused." in told.output
    assert "line 3: E-mail “bob at home” is not an e-mail address" in told.output
    assert "Say what one means: --use 'organisation_id:Engines=…'" in told.output
    assert names(home) == set()
    assert "Nothing was imported yet." in type_("--home", home, "imports", "list").output


def test_a_list_is_imported_mended_and_taken_back(type_: Type, home: Path, people: Path, tmp_path: Path) -> None:
    told = type_("--home", home, "import", "customer", people, "--missing", "organisation_id=create",
                 "--set", "organisation_id.kind=organisation", "--as", EMAIL)  # fmt: skip
    assert told.exit_code == 1, told.output
    assert "3 rows: 2 new, 1 refused.\n2 records made because rows point at them.\n" in told.output
    assert names(home) == {"Ada", "Zoé", "Engines", "Nowhere"}
    refused = tmp_path / "refused.csv"
    assert f"{refused}: 1 rows." in type_("--home", home, "imports", "refused", "1", refused).output
    refused.write_text(refused.read_text("utf-8-sig").replace("bob at home", "bob@example.com"), "utf-8")
    again = type_("--home", home, "import", "customer", refused)
    assert again.exit_code == 0, again.output
    assert "1 rows: 1 new." in again.output
    listed = type_("--home", home, "imports", "list").output
    assert "1       customer  people.csv   done   3     2    0        1        Ada" in listed
    assert type_("--home", home, "imports", "undo", "1").output == "Import 1 is undone.\n"
    assert names(home) == {"Bob"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("custmer",), "There is no kind of record 'custmer'. Those there are: customer,"),
        (("customer", "--map", "Name"), "--map 'Name' is not understood. Write it like --map COLUMN=FIELD"),
        (("customer", "--map", "Name=nmae"), "cannot become “nmae”: there is no such field."),
        (
            ("customer", "--as", "eve@example.com"),
            "Nobody signs in as eve@example.com. Those who do: rapport user list",
        ),
    ],
)
def test_what_is_not_understood_is_said_in_one_line(type_, sqlite_home: Path, people: Path, words, said) -> None:
    told = type_("--home", sqlite_home, "import", words[0], people, *words[1:])
    assert told.exit_code in {1, 2}
    assert said in told.stderr
    assert "Traceback" not in told.output
    assert "Nothing was imported yet." in type_("--home", sqlite_home, "imports", "list").output


def test_an_import_killed_in_its_midst_goes_on_with_no_row_twice_and_none_lost(
    type_: Type, home: Path, tmp_path: Path
) -> None:
    total = 12_000
    file = tmp_path / "many.csv"
    file.write_text("Name,Reference\n" + "".join(f"Customer {n},R{n}\n" for n in range(total)), "utf-8")
    command = [sys.executable, "-m", "rapport_cli", "--home", str(home), "import", "customer", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    with opened(home) as site:
        actor, until, done = system("test"), time.monotonic() + 60, 0
        while done < 2000 and time.monotonic() < until and process.poll() is None:
            found = imports.recent(site, actor)
            done = found[0].done if found else 0
        process.send_signal(signal.SIGKILL)
        process.wait()
        (run,) = imports.recent(site, actor)
        assert (run.state, 2000 <= run.done < total) == ("running", True)
    told = type_("--home", home, "imports", "resume", "1")
    assert told.exit_code == 0, told.output
    assert f"{total} rows: {total} new." in told.output
    with opened(home) as site, site.read(system("test")) as reader:
        assert reader.session.scalar(select(func.count()).select_from(Customer)) == total
        assert reader.session.scalar(select(func.count(Customer.reference.distinct()))) == total


def test_a_list_is_written_in_the_format_its_name_asks_for(
    type_: Type, home: Path, people: Path, tmp_path: Path
) -> None:
    type_("--home", home, "import", "customer", people, "--map", "Organisation=industry")
    book = tmp_path / "out.xlsx"
    assert f"{book}: 2 customers." in type_("--home", home, "export", "customer", book).output
    assert book.read_bytes()[:2] == b"PK"
    told = type_("--home", home, "export", "customer", "--fields", "name,email", "--sort", "name")
    assert told.stdout.splitlines() == ["\ufeffname,email", "Ada,ada@example.com", "Zoé,zoe@example.com"]
    lines = type_(
        "--home", home, "export", "customer", "--format", "ndjson", "--filter", 'name = "Ada"', "--fields", "name"
    )
    assert lines.stdout == '{"name": "Ada"}\n'
    book.write_bytes(b"kept")
    wrong = type_("--home", home, "export", "customer", book, "--filter", "nonsense")
    assert wrong.exit_code == 1
    assert book.read_bytes() == b"kept"
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.skipif(not SALES.exists(), reason=f"the real files are not here ({SALES})")
def test_the_real_sales_file_comes_in_whole_by_typing(type_: Type, home: Path, tmp_path: Path) -> None:
    def typed(*words: object, code: int = 0) -> str:
        told = type_("--home", home, *words)
        assert told.exit_code == code, told.output
        return told.output

    typed("plugins", "enable", "sales")
    agents = [row["sales_agent"] for row in rows_of(SALES / "sales_teams.csv")]
    list_of_agents, account = tmp_path / "agents.csv", tmp_path / "account.csv"
    emails = [f"{name},{name.lower().replace(' ', '.')}@example.com\n" for name in agents]
    list_of_agents.write_text("Name,E-mail\n" + "".join(emails), "utf-8")
    account.write_text("Name\nUnknown account\n", "utf-8")
    typed("import", "user", list_of_agents)
    for file in (account, SALES / "accounts.csv"):
        typed("import", "customer", file, *(("--map", "account=name") if file != account else ()),
              "--set", "kind=organisation")  # fmt: skip
    typed("import", "products.product", SALES / "products.csv")

    file = SALES / "sales_pipeline.csv"
    told = typed("import", "sales.opportunity", file, "--dry-run", code=1)
    assert "8800 rows: " in told
    assert re.search(r"product_id +GTXPro +1480 +3 +GTX Pro", told)
    assert re.search(r"stage_id +Prospecting +500 ", told)
    assert typed("export", "sales.opportunity").count("\n") == 1

    stages = {"Prospecting": "New", "Engaging": "Qualified"}
    meant = [f"stage_id:{theirs}={ours}" for theirs, ours in stages.items()]
    told = typed("import", "sales.opportunity", file, "--match", "reference", "--set", "customer_id=Unknown account",
                 *(word for each in ("product_id:GTXPro=GTX Pro", *meant) for word in ("--use", each)))  # fmt: skip
    assert "8800 rows: 8800 new." in told
    number = re.search(r"rapport imports undo (\d+)", told)[1]

    target = tmp_path / "back.csv"
    typed("export", "sales.opportunity", target, "--for-people")
    deals = rows_of(target)
    expected = totals(rows_of(file), "sales_agent", "deal_stage", "close_value")
    expected = {(agent, stages.get(stage, stage)): value for (agent, stage), value in expected.items()}
    assert totals(deals, "Owner", "Stage", "Amount") == expected
    assert sum(deal["Customer"] == "Unknown account" for deal in deals) == 1425
    assert typed("imports", "undo", number) == f"Import {number} is undone.\n"
    assert typed("export", "sales.opportunity").count("\n") == 1


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as opened_file:
        return list(csv.DictReader(opened_file))


def totals(rows: list[dict[str, str]], agent: str, stage: str, amount: str) -> dict[tuple[str, str], object]:
    """How many and how much, by agent and stage."""
    found: dict[tuple[str, str], list[Decimal]] = {}
    for row in rows:
        found.setdefault((row[agent], row[stage]), []).append(Decimal(row[amount] or 0))
    return {key: (len(amounts), sum(amounts)) for key, amounts in found.items()}
