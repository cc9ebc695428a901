"""What leaves by other doors than answers: files of every format, webhooks, mailed reports, the command line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from rapport.builtin.exchange.download import FORMATS
from rapport.builtin.exchange.exports import export
from rapport.builtin.webhooks.fanout import messages
from rapport.builtin.webhooks.model import Webhook
from rapport.builtin.webhooks.sending import body_of
from rapport.jobs import job_table
from rapport.plugins import discover
from rapport.records.log import change_log, logged
from rapport_cli.exporting import export as export_command
from tests.security.walk import unpacked
from tests.security.world import Principal, World, tokens_in
from tests.torture import LONG, in_turn, tally

WHO = ("member A", "member B", "viewer")


def leaked(who: Principal, text: str) -> set[int]:
    return tokens_in(text) - who.sees


def files_of(world: World, who: Principal) -> tuple[int, int, list[str]]:
    """Every list as a file: how many, how many canaries were in them, and what had one it should not have."""
    made, found, wrong = 0, 0, []
    actor = _exporting(who)
    with world.site.read(actor) as reader:
        for place, entity in enumerate(world.site.entities):
            if not actor.may(entity.meta.permission("export")):
                continue
            for number, format in enumerate(FORMATS):
                if not LONG and (place + number) % len(FORMATS):
                    continue
                target = io.BytesIO()
                for_people = bool(place % 2)
                export(reader, entity, target, format, archived=True, for_people=for_people)
                text = unpacked(target.getvalue())
                made, found = made + 1, found + len(tokens_in(text))
                if leaked(who, text):
                    wrong.append(f"{entity.meta.name} as {format}")
    return made, found, wrong


def _exporting(who: Principal) -> Any:
    """With the right to export what they may read: what is asked here is which rows and fields come."""
    actor = who.actor
    assert actor is not None
    grants = {**actor.grants}
    for permission, reach in actor.grants.items():
        if permission.endswith(".read"):
            grants[permission.removesuffix("read") + "export"] = reach
    return replace(actor, grants=grants)


@pytest.mark.parametrize("name", WHO)
def test_files_hold_what_one_may_see(either: World, name: str) -> None:
    made, found, wrong = files_of(either, either.principals[name])
    assert wrong == []
    assert found > 100
    tally("A1", "files in every format, searched for canaries", tried=made, canaries_of_ones_own=found, leaked=0)


def webhook_bodies(world: World, who: Principal) -> list[str]:
    """What a webhook of somebody's would be sent of all that ever happened."""
    site = world.site
    with site.db.read() as connection:
        changes = [logged(row) for row in connection.execute(select(change_log).order_by(change_log.c.seq))]
    hook = Webhook(id=world.north["webhook"], name="all", url="https://example.com/", events=("*",), filter="",
                   owner_id=who.actor.id if who.actor else None)  # fmt: skip
    bodies = []
    for row in messages(site, hook, changes):
        body = body_of(site, hook.rights(site), SimpleNamespace(**row))
        if body is not None:
            bodies.append(body.decode())
    return bodies


@pytest.mark.parametrize("name", WHO)
def test_webhooks_hear_what_their_owner_may_see(either: World, name: str) -> None:
    who = either.principals[name]
    bodies = webhook_bodies(either, who)
    assert len(bodies) > 50
    with either.site.db.read() as connection:  # what was in one's records before it was changed is no secret to one
        mine = select(change_log.c.changes).where(change_log.c.record_id.in_(who.reads))
        formerly = {token for changes in connection.scalars(mine) for token in tokens_in(str(changes))}
    assert {token for body in bodies for token in leaked(who, body)} - formerly == set()
    assert not any(secret in body for body in bodies for secret in either.secrets)
    tally("A1", "bodies of webhooks, searched for canaries", tried=len(bodies), leaked=0)


@pytest.mark.parametrize("either", in_turn(1), indirect=True)
def test_the_command_line_exports_what_the_person_named_may_see(either: World) -> None:
    """`rapport export customer --as …`, in the site that is open already."""
    place, tried = SimpleNamespace(site=lambda: nullcontext(either.site)), 0
    for name in ("member A", "member B"):
        who = either.principals[name]
        assert who.actor is not None
        for entity in either.site.entities:
            if not who.actor.may(entity.meta.permission("export")):
                continue
            done = CliRunner().invoke(export_command, [entity.meta.name, "--as", who.actor.email], obj=place)
            assert done.exit_code == 0, done.output
            assert leaked(who, done.output) == set()
            tried += 1
    assert tried > 0
    tally("A1", "exports on the command line, searched for canaries", tried=tried, leaked=0)


def test_reports_by_mail_hold_what_their_reader_may_see(world: World) -> None:
    from rapport_warehouse import offered, refresh
    from rapport_warehouse.delivering import _letter
    from rapport_warehouse.entities import Delivery, Report

    refresh(world.site)
    config = world.site.config
    world.site.config = replace(config, mail_url="smtp://127.0.0.1:1")
    tried = 0
    try:
        for name in ("member A", "member B"):
            who, owner = world.principals[name], world.principals["manager"].actor
            assert who.actor is not None
            assert owner is not None
            with world.site.read(who.actor) as reader:
                if not who.actor.may("warehouse.report.read"):
                    continue
                offer = offered(reader)
            for place, (measure, fitting) in enumerate(offer.fits.items()):
                for number, at in enumerate(sorted(fitting)):
                    if (place + number) % (1 if LONG else 40):
                        continue
                    report = Report(name="Week", query=f"measure={measure}&at.{at}=rows")
                    for format in ("csv", "xlsx"):
                        delivery = Delivery(name="Week", format=format, zone="UTC")
                        letter = _letter(world.site, who.actor, owner, delivery, report)
                        text = f"{letter.subject}\n{letter.text}\n{unpacked(letter.content)}"
                        assert leaked(who, text) == set(), (measure, at, format)
                        tried += 1
    finally:
        world.site.config = config
        world.put_back()
    tally("A1", "reports by mail, searched for canaries", tried=tried, leaked=0)


# On paper ------------------------------------------------------------------------------------------------------------

DRAWING = {"rapport_sales.pages", "rapport_sales.papers", "rapport_warehouse.taking"}
"""Modules that draw; what each of them gives out is asked for below."""
ON_PAPER = ("member A", "member B", "viewer", "portal A", "portal B", "anonymous")


def papers_of(world: World, who: Principal) -> Iterator[tuple[str, bytes]]:
    """Every PDF that somebody gets of those there are: quotes of all three, by every way, and answers to questions."""
    from rapport_sales import papers
    from rapport_warehouse import offered

    site, asked = world.site, []
    quotes = [
        records["sales.quote"] for records in (world.north, world.south, world.beyond) if "sales.quote" in records
    ]
    for each in quotes:
        asked += [f"/sales/quotes/{each}/pdf", f"/portal/sales/{each}/pdf"]
    if who.name == "anonymous":  # whoever has its link sees a quote, and of quotes no other
        asked = [f"{papers.PAGE}{each}/pdf" for each in quotes]
    if who.actor is not None and who.actor.may("warehouse.report.read"):
        with site.read(who.actor) as reader:
            fits = offered(reader).fits
        for place, (measure, fitting) in enumerate(fits.items()):
            for number, at in enumerate(sorted(fitting)):
                if (place + number) % (2 if LONG else 90) == 0:
                    asked.append(f"/warehouse/export?measure={measure}&at.{at}=rows&format=pdf")
    for path in asked:
        way = who.way(path)
        if way is None:
            continue
        answer = way.get(path)
        assert answer.status_code < 500, (who.name, path)
        if answer.mimetype == "application/pdf":
            yield path, answer.get_data()


def searched(world: World, who: Principal, most: int | None = None) -> tuple[int, int, list[str]]:
    """How many papers somebody gets, how many canaries are on them, and which have one that they should not: `most` of
    them, for who wants to see only that they are found."""
    made, found, wrong = 0, 0, []
    for path, paper in papers_of(world, who):
        text = unpacked(paper)
        made, found = made + 1, found + len(tokens_in(text))
        if leaked(who, text):
            wrong.append(path)
        if len(wrong) == most:
            break
    return made, found, wrong


@pytest.mark.parametrize("either", in_turn(0), indirect=True)
def test_what_is_drawn_holds_what_one_may_see(either: World) -> None:
    drawn, read = 0, 0
    for name in ON_PAPER:
        made, found, wrong = searched(either, either.principals[name])
        assert wrong == [], name
        drawn, read = drawn + made, read + found
    assert drawn > 5
    assert read > 10
    tally("A1", "PDFs, read and searched for canaries", tried=drawn, canaries_of_ones_own=read, leaked=0)


def test_every_module_that_draws_is_known() -> None:
    roots = [Path(str(import_module(f"rapport_{name}").__file__)).parent for name in discover()]
    found = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for root in roots for path in root.rglob("*.py")
        if re.search(r"from rapport\.documents import [^\n]*\bpdf\b", path.read_text("utf-8"))
    }  # fmt: skip
    assert found == DRAWING, "whoever draws a PDF is asked for it in this file"


def test_papers_of_others_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rapport.records.session.row_scope", lambda *_: None)
    _made, _found, wrong = searched(world, world.principals["member A"], most=None if LONG else 3)
    assert wrong
    tally("A1", "PDFs, read and searched for canaries", tried=0, control=len(wrong))


def test_what_jobs_say_of_themselves_has_no_canary(world: World) -> None:
    with world.site.db.read() as connection:
        messages_ = list(connection.scalars(select(job_table.c.message).where(job_table.c.message != "")))
    assert {token for each in messages_ for token in tokens_in(each)} == set()
    tally("A1", "messages of jobs, searched for canaries", tried=len(messages_), leaked=0)


def test_files_that_hold_others_rows_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rapport.records.session.row_scope", lambda *_: None)
    _made, _found, wrong = files_of(world, world.principals["member A"])
    assert len(wrong) > 10
    tally("A1", "files in every format, searched for canaries", tried=0, control=len(wrong))


def test_webhooks_that_tell_too_much_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    who = world.principals["member A"]
    monkeypatch.setattr(Webhook, "rights", lambda _hook, _site: world.app.admin)
    told = {token for body in webhook_bodies(world, who) for token in leaked(who, body)}
    assert told
    tally("A1", "bodies of webhooks, searched for canaries", tried=0, control=len(told))
