"""A desk from which customers are written to: paper channels, and words for what the stories say again and again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rapport import Actor, Consent, Customer, Message, Purpose, QuietHours, send
from rapport.testing import TestApp
from rapport.testing.paper import sent
from rapport.testing.pytest_plugin import Clock
from tests.kernel.conftest import plugin_on_disk

__all__ = ["plugin_on_disk"]

NOON = dt.datetime(2026, 3, 3, 12, tzinfo=dt.UTC)  # a Tuesday


class Desk:
    """An app with the paper channels, at noon."""

    def __init__(self, app: TestApp, clock: Clock) -> None:
        self.app, self.site, self.clock = app, app.site, clock
        clock.now = NOON

    def person(self, name: str, *, agreed: bool = True, **values: Any) -> Customer:
        """A customer with an address, who agreed to be written to unless said otherwise."""
        values = {"email": f"{name.lower()}@example.com", "time_zone": "UTC", **values}
        customer = self.app.create_customer(name=name, **values)
        if agreed:
            self.say(customer, "granted")
        return customer

    def say(self, customer: Customer, state: str, purpose: str = "marketing", channel: str = "") -> None:
        """Note what a customer said."""
        with self.site.write(self.app.admin) as unit:
            unit.create(Consent, {"customer_id": customer.id, "purpose_id": self.purpose(purpose).id, "state": state,
                                  "channel": channel})  # fmt: skip
        self.clock.forward(seconds=1)

    def purpose(self, name: str) -> Purpose:
        """A purpose by its name."""
        with self.site.read(self.app.admin) as reader:
            return reader.all(Purpose, Purpose.name == name)[0]

    def create(self, entity: type[Any], **values: Any) -> Any:
        """Make a record as the administrator."""
        with self.site.write(self.app.admin) as unit:
            return unit.create(entity, values)

    def write(self, customer: Customer, *, actor: Actor | None = None, **values: Any) -> Message:
        """Put a message into the outbox."""
        values = {"channel": "slip", "purpose": "marketing", "body": "Hello", **values}
        with self.site.write(actor or self.app.admin) as unit:
            return send(unit, customer=customer, **values)

    def look(self, message: Message) -> Message:
        """A message as it is now."""
        with self.site.read(self.app.admin) as reader:
            return reader.get(Message, message.id)

    def act(self, message: Message, name: str, actor: Actor | None = None) -> str:
        """Press a button of a message's page, and read what it says."""
        with self.site.write(actor or self.app.admin) as unit:
            said: Any = self.site.actions[f"message:{name}"].run(unit, [unit.get(Message, message.id)], {})
        return str(said)

    def settle(self, **later: float) -> None:
        """Run what is due, after some time if told."""
        self.clock.forward(**later)
        self.app.settle()

    @property
    def slips(self) -> list[str]:
        """To whom something went out, in order."""
        return [slip["to"] for slip in sent(self.site)]

    def no_quiet_hours(self) -> None:
        """For stories that take place at night."""
        with self.site.write(self.app.admin) as unit:
            for hours in unit.reader.all(QuietHours):
                unit.delete(hours)


@pytest.fixture
def desk(paper: str, make_app: Callable[..., Any], clock: Clock) -> Iterator[Desk]:
    """See Desk."""
    with make_app(plugins=[paper]) as app:
        yield Desk(app, clock)
