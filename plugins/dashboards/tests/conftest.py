"""What the stories of dashboards have in common: a small business with figures that can be added up by hand."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from rapport_dashboards import Card, Dashboard
from rapport_sales import Opportunity
from rapport_sales.service import ENTITY, win
from rapport_warehouse import Question, refresh

from rapport import Actor, Customer, stages_of, utcnow
from rapport.testing import TestApp


class Boards:
    """An app with dashboards and sales, and short ways to tell a story about it."""

    def __init__(self, app: TestApp) -> None:
        self.app = app

    def make(self, kind: Any, actor: Actor | None = None, /, **values: Any) -> Any:
        """Make a record, as the administrator unless somebody is named."""
        with self.app.site.write(actor or self.app.admin) as unit:
            return unit.create(kind, values)

    def all(self, entity: Any, *where: Any) -> list[Any]:
        """Records as they are now."""
        with self.app.site.read(self.app.admin) as reader:
            return list(reader.all(entity, *where))

    def won(self, owner: Actor, *amounts: int, country: str = "FR") -> None:
        """Opportunities of somebody's, won today."""
        with self.app.site.write(self.app.admin) as unit:
            stage = next(each for each in stages_of(unit.session, ENTITY) if each.position == 0)
            for amount in amounts:
                facts = {"name": f"Customer {amount}", "address": {"country": country}, "owner_id": str(owner.id)}
                customer = unit.create(Customer, facts)
                deal = unit.create(
                    Opportunity,
                    {"name": f"Deal {amount}", "customer_id": str(customer.id), "amount": amount, "currency": "EUR",
                     "owner_id": str(owner.id), "stage_id": str(stage.id)},
                )  # fmt: skip
                win(unit, deal)

    def card(self, actor: Actor | None = None, *measures: str, dashboard: Dashboard | None = None, **more: Any) -> Card:
        """A card on a dashboard of its own, unless one is named."""
        title = more.pop("title", f"Card {utcnow().timestamp()}")
        shape, asked = more.pop("shape", "figure"), more.pop("where", {})
        board = dashboard or self.make(Dashboard, actor, name=f"Board of {title}", shared="everybody")
        question = Question(measures=measures, where=asked, **more).to_json()
        made: Card = self.make(Card, actor, dashboard_id=str(board.id), title=title, shape=shape, question=question)
        return made

    def refresh(self) -> None:
        """Bring the warehouse up to date."""
        refresh(self.app.site)

    def page(self, url: str, actor: Actor | None = None, status: int = 200) -> str:
        """What a page says, without what a browser does not show."""
        answer = self.app.browser(actor).get(url)
        assert answer.status_code == status, answer.get_data(as_text=True)[-2000:]
        return answer.get_data(as_text=True)

    def shown(self, card: Card, actor: Actor | None = None, query: str = "") -> str:
        """The words inside a card."""
        html = self.page(f"/dashboards/{card.dashboard_id}/card/{card.id}{query}", actor)
        return " ".join(re.sub(r"<[^>]*>", " ", html).split())

    def ready(self, name: str) -> tuple[Dashboard, list[Card]]:
        """A dashboard that is there from the start, and its cards."""
        (board,) = self.all(Dashboard, Dashboard.name == name)
        return board, self.all(Card, Card.dashboard_id == board.id)


@pytest.fixture
def boards(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]) -> Iterator[Boards]:
    """An app with dashboards, sales and the warehouse."""
    with make_app(plugins=["dashboards", "sales"]) as app:
        yield Boards(app)


def today() -> dt.date:
    """The day in the zone of the tests."""
    return utcnow().date()


__all__ = ["UUID", "Boards", "today"]
