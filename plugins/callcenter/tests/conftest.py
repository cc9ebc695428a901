"""What the stories of the call centre have in common."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from rapport_callcenter import CallList, Disposition, Entry, Script, Step
from sqlalchemy import select

from rapport import Consent, Customer, Purpose, Unit
from rapport.testing import TestApp


class Centre:
    """An app with the call centre switched on, and short ways to tell a story about it."""

    def __init__(self, app: TestApp) -> None:
        self.app = app
        self.numbers = itertools.count(1)

    def make(self, entity: Any, actor: Any = None, **values: Any) -> Any:
        """Make a record, as the administrator unless somebody is named."""
        with self.app.site.write(actor or self.app.admin) as unit:
            return unit.create(entity, values)

    def people(self, *names: str, agreed: bool = True, **values: Any) -> list[Customer]:
        """Customers with a telephone, who have agreed to be called."""
        with self.app.site.write(self.app.admin) as unit:
            made = [
                unit.create(Customer, {"name": name, "phone": f"+4420794600{next(self.numbers):02}", **values})
                for name in names
            ]
            if agreed:
                agree(unit, made)
        return made

    def call_list(self, name: str = "Spring", actor: Any = None, **values: Any) -> CallList:
        """A list that is called at any hour, filled and open."""
        made: CallList = self.make(
            CallList, actor, **{"name": name, "hours_from": "00:00", "hours_to": "23:59", **values}
        )
        assert self.press("callcenter.call_list", made, "fill").status_code == 302
        self.app.settle()
        return made

    def press(self, entity: str, record: Any, action: str, **form: Any) -> Any:
        """Press a button of a record's page."""
        return self.app.submit(self.app.browser(), f"/{entity}/{record.id}/do/{action}", form)

    def disposition(self, name: str) -> Disposition:
        """One of those that are there from the start, or were made."""
        with self.app.site.read(self.app.admin) as reader:
            return reader.session.scalars(select(Disposition).where(Disposition.name == name)).one()

    def entries(self, call_list: CallList) -> dict[str, Entry]:
        """What stands on a list, by the customer's name."""
        with self.app.site.read(self.app.admin) as reader:
            rows = reader.session.execute(
                select(Entry, Customer.name).join(Customer, Customer.id == Entry.customer_id)
                .where(Entry.list_id == call_list.id).order_by(Entry.position)
            )  # fmt: skip
            return {row[1]: row[0] for row in rows}

    def script(self, name: str, steps: Sequence[dict[str, Any]]) -> Script:
        """A script with its steps in order."""
        with self.app.site.write(self.app.admin) as unit:
            made = unit.create(Script, {"name": name})
            for position, values in enumerate(steps):
                unit.create(Step, {"script_id": made.id, "position": position, **values})
        return made


def agree(unit: Unit, customers: Sequence[Customer]) -> None:
    """Let customers agree to news and offers by telephone."""
    purpose = unit.session.scalars(select(Purpose).where(Purpose.name == "marketing")).one()
    for customer in customers:
        unit.create(Consent, {"customer_id": customer.id, "purpose_id": purpose.id, "channel": "call",
                              "state": "granted"})  # fmt: skip


@pytest.fixture
def centre(make_app: Any, clock: Any) -> Iterator[Centre]:
    """The call centre, switched on by itself, at ten in the morning."""
    clock.now = clock.now.replace(hour=10, minute=0, second=0)
    with make_app(plugins=["callcenter"]) as app:
        yield Centre(app)
