"""People and their keys, from the terminal."""

from __future__ import annotations

import zipfile
from pathlib import Path

from rapport import Customer, system
from rapport.app import create_app
from rapport.config import load_config

from .conftest import EMAIL, PASSWORD, Type, opened


def test_somebody_added_can_be_listed_and_sent_away(type_: Type, home: Path) -> None:
    added = type_("--home", home, "user", "add", "bob@example.com", "--name", "Bob", "--role", "manager",
                  "--team", "North", "--password", PASSWORD)  # fmt: skip
    assert added.exit_code == 0, added.output
    assert "Bob can sign in at http://127.0.0.1:8000 as bob@example.com." in added.output
    listed = type_("--home", home, "user", "list").output.splitlines()
    assert [line.split() for line in listed] == [
        ["e-mail", "name", "roles", "active"],
        [EMAIL, "Ada", "admin", "yes"],
        ["bob@example.com", "Bob", "manager", "yes"],
    ]
    assert type_("--home", home, "user", "deactivate", "bob@example.com").exit_code == 0
    assert "bob@example.com  Bob   manager  no" in type_("--home", home, "user", "list").output


def test_the_last_administrator_stays(type_: Type, sqlite_home: Path) -> None:
    answer = type_("--home", sqlite_home, "user", "deactivate", EMAIL)
    assert answer.stderr == "Ada is the last administrator. Make somebody else administrator first.\n"


def test_an_unknown_role_names_those_there_are(type_: Type, sqlite_home: Path) -> None:
    answer = type_("--home", sqlite_home, "user", "add", "bob@example.com", "--role", "boss")
    assert answer.stderr == "There is no role 'boss'. Those there are: admin, manager, member, viewer.\n"


def test_a_mistyped_user_is_answered_with_the_nearest(type_: Type, sqlite_home: Path) -> None:
    answer = type_("--home", sqlite_home, "user", "token", "aba@example.com")
    assert answer.stderr == f"There is no user 'aba@example.com'. Did you mean {EMAIL}?\n"


def test_a_token_made_here_opens_the_api_within_its_scopes(type_: Type, sqlite_home: Path) -> None:
    made = type_("--home", sqlite_home, "user", "token", EMAIL, "--scope", "customer.read", "--days", "1")
    token = made.stdout.strip()
    assert token.startswith("rpt_")
    app = create_app(load_config(sqlite_home))
    client = app.test_client()
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
    assert client.get("/api/v1/customer", headers=headers).status_code == 200
    assert client.post("/api/v1/customer", headers=headers, json={"name": "X"}).status_code == 403
    app.extensions["rapport"].close()


def test_a_new_password_is_asked_for_twice(type_: Type, sqlite_home: Path) -> None:
    answers = "a whole new password\na whole new password\n"
    changed = type_("--home", sqlite_home, "user", "password", EMAIL, answers=answers)
    assert changed.exit_code == 0, changed.output
    assert f"{EMAIL} has a new password; sessions begun before are over." in changed.output


def test_a_reset_link_leads_to_the_site(type_: Type, sqlite_home: Path) -> None:
    shown = type_("--home", sqlite_home, "user", "reset", EMAIL)
    assert shown.stdout.startswith("http://127.0.0.1:8000/reset/")


def test_what_is_held_on_a_customer_is_handed_over_and_forgotten(type_: Type, sqlite_home: Path) -> None:
    with opened(sqlite_home) as site, site.write(system("test")) as unit:
        ada = unit.create(Customer, {"name": "Ada", "email": "ada@example.com"}).id
    file = sqlite_home / "ada.zip"
    answer = type_("--home", sqlite_home, "person", "export", str(ada), file)
    assert answer.exit_code == 0, answer.output
    assert "Ada" in zipfile.ZipFile(file).read("data.json").decode()
    answer = type_("--home", sqlite_home, "person", "erase", str(ada))
    assert answer.stderr == "--yes is missing, and there is nobody to ask. Give it on the command line.\n"
    assert type_("--home", sqlite_home, "person", "erase", str(ada), "--yes").exit_code == 0
    with opened(sqlite_home) as site, site.read(system("test")) as reader:
        assert [(each.name, each.email) for each in reader.all(Customer)] == [("Erased", "")]
