"""What the stories of the calendar have in common."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import socket
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from rapport_calendar import Appointment, service, zones
from rapport_calendar.occurrences import occurrences

from rapport import Actor, Unit
from rapport.testing import TestApp


class Calendar:
    """An app with the calendar switched on, and short ways to tell a story about it."""

    def __init__(self, app: TestApp) -> None:
        self.app = app
        self.me = app.user("Ada Berlin", roles=["manager"], time_zone="Europe/Berlin")

    def write(self, actor: Actor | None = None) -> Unit:
        """A unit of work of somebody's."""
        return self.app.site.write(actor or self.me)

    def make(
        self, start: str, *, hours: float = 1, zone: str = "Europe/Berlin", actor: Actor | None = None, **values: Any
    ) -> Appointment:
        """An appointment that begins when a clock in Berlin shows this."""
        local = dt.datetime.fromisoformat(start)
        when = service.timed(local, dt.timedelta(hours=hours), zone)
        with self.write(actor) as unit:
            return service.create(unit, {"title": "Standup", **when, **values}, local=local)

    def change(
        self, appointment: Appointment, scope: str = "all", at: str = "", start: str = "", **values: Any
    ) -> Appointment:
        """Change an appointment, or a part of a series."""
        if start:
            local = dt.datetime.fromisoformat(start)
            values |= service.timed(local, appointment.local_length, appointment.zone)
        with self.write() as unit:
            record = unit.get(Appointment, appointment.id)
            return service.change(unit, record, values, scope=scope, occurrence=at)  # type: ignore[arg-type]

    def seen(self, after: str, before: str, actor: Actor | None = None) -> list[str]:
        """What takes place between two days in Berlin, as its clock shows it."""
        moments = [zones.day_begins(dt.date.fromisoformat(each), "Europe/Berlin") for each in (after, before)]
        with self.app.site.read(actor or self.me) as reader:
            found = occurrences(reader, *moments)
        return [
            f"{zones.local_of(each.begin, 'Europe/Berlin'):%Y-%m-%d %H:%M} {each.appointment.title}" for each in found
        ]


class Mailbox:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str, str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=default)
        body = mail.get_body()
        self.mails.append((str(mail["To"]), str(mail["Subject"]), body.get_content() if body is not None else ""))
        return "250 OK"


@pytest.fixture
def mailed(make_app: Any, paper: str) -> Iterator[tuple[Calendar, Mailbox]]:
    """An app with the calendar, a channel to customers, and a mail server for those who work here."""
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    try:
        with make_app(plugins=[paper, "calendar"]) as app:
            app.site.config = dataclasses.replace(app.site.config, mail_url=f"smtp://127.0.0.1:{port}")
            yield Calendar(app), box
    finally:
        server.stop()


@pytest.fixture
def cal(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]) -> Iterator[Calendar]:
    """An app with the calendar switched on."""
    with make_app(plugins=["calendar"]) as app:
        yield Calendar(app)
