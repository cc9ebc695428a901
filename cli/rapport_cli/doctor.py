"""The doctor: looks a site over, says what is well, what is not, and what to type."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import click

from rapport_cli.place import Place
from rapport_cli.speak import explain, say

if TYPE_CHECKING:
    from rapport.config import Config
    from rapport.site import Site

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
LOCAL = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    state: Literal["ok", "warn", "fail"]
    what: str
    text: str
    remedy: str = ""


@click.command()
@click.pass_obj
def doctor(place: Place) -> None:
    """Look the site over. Ends with 1 when something must be mended; warnings alone end with 0."""
    from rapport.site import Site

    config = place.config()
    found: list[Finding] = []
    for check in (database, migrations, secret_key, addresses, mail, disk, copies):
        found.extend(_examined(check, config))
    with contextlib.ExitStack() as stack:
        try:
            site = stack.enter_context(contextlib.closing(Site.open(config, safe=place.safe)))
        except Exception as error:
            found.append(Finding("fail", "site", explain(error)))
        else:
            for look in (plugins, people, deliveries, followers, jobs, clock, search, views):
                found.extend(_examined(look, site))
    for finding in found:
        click.secho(f"{finding.state:5}", fg=COLOURS[finding.state], nl=False)
        say(f"{finding.what:12} {finding.text}")
        if finding.remedy:
            say(f"{'':18}→ {finding.remedy}")
    bad = sum(finding.state == "fail" for finding in found)
    doubtful = sum(finding.state == "warn" for finding in found)
    say(f"{len(found)} checks: {bad} to mend, {doubtful} to look at.")
    sys.exit(1 if bad else 0)


def _examined(check: Callable[..., Iterator[Finding]], subject: object) -> Iterator[Finding]:
    try:
        yield from check(subject)
    except Exception as error:
        yield Finding("fail", check.__name__.replace("_", " "), explain(error))


# Without a running site ----------------------------------------------------------------------------------------------


def database(config: Config) -> Iterator[Finding]:
    """Whether the database answers, and can be written."""
    from sqlalchemy import text

    from rapport.db.engine import Database

    with contextlib.closing(Database(config)) as db:
        with db.writing.connect() as connection, connection.begin() as transaction:
            connection.execute(text("CREATE TABLE rapport_doctor (n INTEGER)"))
            transaction.rollback()
        kind = "SQLite" if db.is_sqlite else "PostgreSQL"
    yield Finding("ok", "database", f"{kind} answers and can be written")


def migrations(config: Config) -> Iterator[Finding]:
    """Whether the tables are those of this version."""
    from rapport.lifecycle import pending_migrations

    for name, reason in pending_migrations(config).items():
        yield Finding("fail", "migrations", f"{name}: {reason}", "rapport db upgrade")
        return
    yield Finding("ok", "migrations", "nothing waits")


def secret_key(config: Config) -> Iterator[Finding]:
    """Whether the key that signs cookies is long and private."""
    path = config.home / "secret.key"
    if len(config.secret_key) < 32:
        yield Finding("fail", "secret key", "is too short to be safe", f"delete {path}, and everybody signs in again")
    elif path.exists() and path.stat().st_mode & 0o077:
        yield Finding("fail", "secret key", "can be read by other users of this machine", f"chmod 600 {path}")
    else:
        yield Finding("ok", "secret key", "is long and private")


def addresses(config: Config) -> Iterator[Finding]:
    """Whether the site's own address makes sense."""
    parts = urlsplit(config.base_url)
    host = parts.hostname or ""
    local = host in LOCAL
    if parts.scheme not in {"http", "https"} or not host:
        yield Finding("fail", "address", f"base_url '{config.base_url}' is no web address",
                      "write base_url = \"https://crm.example.com\" in rapport.toml")  # fmt: skip
    elif parts.scheme == "http" and not local:
        yield Finding("warn", "address", f"{config.base_url} is not encrypted: passwords can be read on the way",
                      "put a proxy with a certificate before it, and write https in base_url")  # fmt: skip
    else:
        yield Finding("ok", "address", config.base_url + (" (this machine only)" if local else ""))
    if wide := [name for name in config.trusted_hosts if name.startswith(".") or "*" in name]:
        yield Finding("warn", "hosts", f"trusted_hosts names many hosts at once: {', '.join(wide)}",
                      "name each host, so that links in mails cannot be made to lead elsewhere")  # fmt: skip
    if (config.home / "demo.json").exists() and not local:
        yield Finding("fail", "address", "this is the demo, whose password everybody knows", "rapport init OTHER")


def mail(config: Config) -> Iterator[Finding]:
    """Whether the mail server answers."""
    if not config.mail_url:
        yield Finding("warn", "mail", "is not set up: mails wait in the outbox",
                      'write mail_url = "smtp://user:password@host:587" in rapport.toml')  # fmt: skip
        return
    parts = urlsplit(config.mail_url)
    port = parts.port or (465 if parts.scheme == "smtps" else 587)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=5):
            yield Finding("ok", "mail", f"{parts.hostname}:{port} answers")
    except OSError as error:
        yield Finding("fail", "mail", f"{parts.hostname}:{port} does not answer: {error.strerror or error}",
                      "check mail_url in rapport.toml")  # fmt: skip


def disk(config: Config) -> Iterator[Finding]:
    """Whether there is room for the database to grow, and for a backup."""
    free = shutil.disk_usage(config.home).free
    size = sum(path.stat().st_size for path in config.home.glob("rapport.db*"))
    text = f"{free / 1e9:.1f} GB free, the database takes {size / 1e6:.1f} MB"
    if free < 200_000_000:
        yield Finding("fail", "disk", text, "make room: a full disk refuses every change")
    elif free < 2 * size + 1_000_000_000:
        yield Finding("warn", "disk", text, "make room for backups, or write them elsewhere: rapport backup FILE")
    else:
        yield Finding("ok", "disk", text)


def copies(config: Config) -> Iterator[Finding]:
    """How old and how large the folders are that plugins keep copies in, made for speed."""
    for tag in sorted(config.home.glob("*/CACHEDIR.TAG")):
        files = [path.stat() for path in tag.parent.rglob("*") if path.is_file() and path != tag]
        size, newest = sum(each.st_size for each in files), max((each.st_mtime for each in files), default=0)
        hours = (dt.datetime.now(dt.UTC).timestamp() - newest) / 3600
        if hours > 24:
            yield Finding("warn", tag.parent.name, f"takes {size / 1e6:.1f} MB, and is {hours / 24:.0f} days old",
                          f"see that a worker runs; if it is off: rapport plugins purge {tag.parent.name}")  # fmt: skip
        else:
            yield Finding("ok", tag.parent.name, f"takes {size / 1e6:.1f} MB, and is {hours * 60:.0f} minutes old")


# With the site open --------------------------------------------------------------------------------------------------


def plugins(site: Site) -> Iterator[Finding]:
    """How the plugins fare that should run."""
    from rapport.app import create_app
    from rapport.plugins import State

    whole: Site = create_app(site.config, safe=site.safe).extensions["rapport"]  # its pages must mount too
    whole.close()
    active = [name for name, plugin in whole.plugins.items() if plugin.state is State.ACTIVE]
    for plugin in whole.plugins.values():
        if plugin.state is not State.ACTIVE and plugin.reason:
            state: Literal["fail", "warn"] = "fail" if plugin.enabled else "warn"
            yield Finding(state, "plugins", f"{plugin.name} is {plugin.state}: {plugin.reason}", plugin.remedy)
        for bridge in plugin.troubled_bridges:
            said = f"{plugin.name} with {bridge.other} is left out: {bridge.reason}"
            yield Finding("warn", "plugins", said, bridge.remedy)
    yield Finding("ok", "plugins", f"active: {', '.join(active) or 'none'}")


def people(site: Site) -> Iterator[Finding]:
    """Whether somebody can administer the site."""
    from sqlalchemy import func, select

    from rapport.access import User, UserRole
    from rapport.entities import table_of

    users, roles = table_of(User), table_of(UserRole)
    query = select(func.count()).select_from(users.join(roles, roles.c.user_id == users.c.id)).where(
        roles.c.role == "admin", users.c.active, users.c.archived_at.is_(None)
    )  # fmt: skip
    with site.db.read() as connection:
        admins = connection.scalar(query) or 0
    if admins:
        yield Finding("ok", "people", f"{admins} administrator(s)")
    else:
        yield Finding("fail", "people", "nobody is administrator", "rapport user add you@example.com --role admin")


def deliveries(site: Site) -> Iterator[Finding]:
    """Whether plugins hear what happened."""
    from sqlalchemy import func, select

    from rapport.entities import utcnow
    from rapport.records.log import delivery_table as table

    late = utcnow() - dt.timedelta(minutes=15)
    with site.db.read() as connection:
        dead = connection.execute(
            select(table.c.plugin, func.count(), func.max(table.c.error)).where(table.c.state == "dead")
            .group_by(table.c.plugin)
        ).all()  # fmt: skip
        waiting = connection.scalar(
            select(func.count()).select_from(table).where(
                table.c.state == "waiting", table.c.due_at < late, table.c.plugin.in_(site.hooks.names())
            )
        )  # fmt: skip
    for plugin, count, error in dead:
        yield Finding("warn", "events", f"{plugin} could not be told {count} event(s), and was given up: {error}",
                      f"look at what {plugin} reports; then: rapport plugins check {plugin}")  # fmt: skip
    if waiting:
        yield Finding("warn", "events", f"{waiting} event(s) wait for longer than 15 minutes", "rapport worker")
    if not dead and not waiting:
        yield Finding("ok", "events", "all told")


def _broker(site: Site) -> Iterator[Finding]:
    from rapport.broker import check_broker, queue_of
    from rapport.errors import RapportError

    try:
        check_broker(site.config)
    except RapportError as error:
        yield Finding("fail", "broker", str(error), "start it, or mend broker_url in rapport.toml; jobs wait meanwhile")
    else:
        yield Finding("ok", "broker", f"answers; the queue of this site is {queue_of(site.config)}")


def followers(site: Site) -> Iterator[Finding]:
    """Whether those who follow the log of changes get on."""
    from sqlalchemy import func, select

    from rapport.followers import follower_table as table
    from rapport.followers import set_aside_table as aside

    with site.db.read() as connection:
        stuck = connection.execute(select(table.c.name, table.c.error).where(table.c.attempts > 0)).all()
        left = connection.execute(select(aside.c.name, func.count()).group_by(aside.c.name)).all()
    for name, error in stuck:
        yield Finding("warn", "followers", f"{name} fails and is tried again: {error}", "see /admin/jobs")
    for name, count in left:
        yield Finding("warn", "followers", f"{name} could not follow {count} change(s), which are set aside",
                      "look at them and have them followed again: /admin/jobs")  # fmt: skip
    if not stuck and not left:
        yield Finding("ok", "followers", "none fails")


def jobs(site: Site) -> Iterator[Finding]:
    """Whether long work gets done."""
    from sqlalchemy import func, select

    from rapport.entities import utcnow
    from rapport.jobs import job_table as table

    if site.config.jobs == "celery":
        yield from _broker(site)
    late = utcnow() - dt.timedelta(minutes=15)
    with site.db.read() as connection:
        failed = connection.execute(
            select(table.c.name, table.c.message, table.c.id).where(
                table.c.state == "failed", table.c.finished_at > utcnow() - dt.timedelta(days=7)
            ).order_by(table.c.finished_at.desc())
        ).all()  # fmt: skip
        waiting = connection.scalar(
            select(func.count()).select_from(table).where(
                table.c.state == "waiting", table.c.due_at < late, table.c.name.in_(site.jobs.names())
            )
        )  # fmt: skip
    if failed:
        name, message, job_id = failed[0]
        yield Finding("warn", "jobs", f"{len(failed)} failed within a week; the last: {name}: {message}",
                      f"rapport jobs list failed; then: rapport jobs retry {job_id}")  # fmt: skip
    if waiting:
        yield Finding("warn", "jobs", f"{waiting} job(s) wait for longer than 15 minutes", "rapport worker")
    if not failed and not waiting:
        yield Finding("ok", "jobs", "none failed, none late")


def clock(site: Site) -> Iterator[Finding]:
    """Whether this machine's clock agrees with the database's, and has not gone back."""
    from sqlalchemy import func, select, text

    from rapport.entities import utcnow
    from rapport.records.log import change_log

    with site.db.read() as connection:
        last = connection.scalar(select(func.max(change_log.c.at)))
        apart = 0.0
        if not site.db.is_sqlite:
            there = connection.scalar(text("SELECT clock_timestamp()"))
            apart = abs((utcnow() - there).total_seconds())
    if last is not None and last > utcnow() + dt.timedelta(minutes=1):
        yield Finding("fail", "clock", f"the last change is from the future: {last:%Y-%m-%d %H:%M} UTC",
                      "set this machine's clock by a time server")  # fmt: skip
    elif apart > 5:
        yield Finding("warn", "clock", f"this machine and the database are {apart:.0f} s apart",
                      "set both clocks by a time server")  # fmt: skip
    else:
        yield Finding("ok", "clock", f"{utcnow():%Y-%m-%d %H:%M} UTC")


def search(site: Site) -> Iterator[Finding]:
    """Whether every record can be found that should be."""
    from sqlalchemy import func, select

    from rapport.entities import table_of
    from rapport.query.search import search_document

    with site.db.read() as connection:
        documents = select(search_document.c.entity, func.count()).group_by(search_document.c.entity)
        counted = connection.execute(documents).all()
        found = {row[0]: row[1] for row in counted}
        total = 0
        for entity in site.entities:
            if not any(field.searchable for field in entity.meta.fields.values()):
                continue
            table = table_of(entity)
            query = select(func.count()).select_from(table).where(table.c.archived_at.is_(None))
            expected = connection.scalar(query) or 0
            total += expected
            if found.get(entity.meta.name, 0) != expected:
                yield Finding("warn", "search", f"{found.get(entity.meta.name, 0)} of {expected} records of "
                              f"{entity.meta.name} can be found", "rapport db reindex")  # fmt: skip
                return
    yield Finding("ok", "search", f"{total} records can be found")


def views(site: Site) -> Iterator[Finding]:
    """What strangers may see: every view without sign-in, by name."""
    from rapport.app import create_app
    from rapport.http import policy_of

    app = create_app(site.config, safe=site.safe)
    try:
        open_views = sorted(name for name, view in app.view_functions.items() if policy_of(view) == "public")
    finally:
        app.extensions["rapport"].close()
    yield Finding("ok", "public", f"views without sign-in: {', '.join(open_views)}")
