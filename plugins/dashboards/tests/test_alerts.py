"""Alerts tell somebody once, by the figures that they themselves may see, and again only after it was well."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from rapport_dashboards import Alert, AlertState, Card, Dashboard
from rapport_dashboards.alerts import JOB, due, is_astray

from rapport import Invalid, Task, enqueue_job, system, utcnow


def look(boards: Any) -> list[str]:
    """Bring the warehouse up to date, look at the alerts, and give back what people were told."""
    boards.refresh()
    with boards.app.site.db.write() as connection:
        enqueue_job(connection, JOB, {}, actor=system("test"))
    boards.app.settle()
    return [task.title for task in boards.all(Task, Task.about_entity == "dashboards.dashboard")]


def test_an_alert_tells_once_until_it_is_well_again(boards: Any) -> None:
    people = boards.app.actors()
    boards.won(people.member, 100)
    card = boards.card(None, "sales.won_amount", period="this year", title="Amount")
    values = {"name": "Too little", "condition": "below", "threshold": 500, "user_id": str(people.manager.id)}
    alert = boards.make(Alert, card_id=str(card.id), **values)
    assert look(boards) == ["Too little: Amount is €100.00"]
    boards.won(people.member, 50)
    assert len(look(boards)) == 1, "it is told once"
    boards.won(people.member, 1000)
    assert len(look(boards)) == 1
    (state,) = boards.all(AlertState)
    assert (state.state, state.value) == ("well", Decimal(1150))
    with boards.app.site.write(boards.app.admin) as unit:
        unit.update(unit.get(Alert, alert.id), {"threshold": 2000})
    boards.won(people.member, 1)
    assert len(look(boards)) == 2, "after it was well, it is told again"
    (task, _later) = boards.all(Task, Task.about_entity == "dashboards.dashboard")
    assert (task.owner_id, task.about_id) == (people.manager.id, card.dashboard_id)


def test_each_is_told_by_what_they_themselves_may_see(boards: Any) -> None:
    people = boards.app.actors()
    boards.won(people.manager, 900)
    card = boards.card(None, "sales.won_amount", period="this year", title="Amount")
    hidden = boards.make(Dashboard, name="Hidden", shared="nobody")
    secret = boards.card(None, "sales.won_amount", period="this year", title="Secret", dashboard=hidden)
    for number, (board_card, person) in enumerate(((card, people.manager), (secret, people.stranger))):
        boards.make(Alert, card_id=str(board_card.id), name=f"Alert {number}", condition="above", threshold=1,
                    user_id=str(person.id))  # fmt: skip
    assert look(boards) == ["Alert 0: Amount is €900.00"], "who may not see the card is told nothing of it"
    assert [state.user_id for state in boards.all(AlertState)] == [people.manager.id]


def test_a_whole_team_is_told_and_who_has_left_is_not(boards: Any) -> None:
    people = boards.app.actors()
    (north,) = people.manager.team_ids
    card = boards.card(None, "sales.won", period="this year", title="Won")
    boards.make(Alert, card_id=str(card.id), name="None yet", condition="below", threshold=1, tell_team_id=str(north))
    assert look(boards) == ["None yet: Won is 0"] * 3


def test_an_alert_is_looked_at_as_often_as_it_says() -> None:
    now = utcnow()
    for often, hours, expected in (("refresh", 1, True), ("day", 1, False), ("day", 24, True), ("week", 24, False)):
        alert = Alert(often=often, checked_at=now - dt.timedelta(hours=hours))
        assert due(alert, now, now) is expected, (often, hours)
    assert not due(Alert(often="refresh", checked_at=now), now - dt.timedelta(minutes=1), now), "nothing moved since"


@pytest.mark.parametrize(
    ("condition", "value", "before", "astray"),
    [
        ("below", 9, None, True), ("below", 10, None, False), ("above", 11, None, True), ("above", 10, None, False),
        ("fell", 89, 100, True), ("fell", 91, 100, False), ("fell", 50, None, False), ("fell", 50, 0, False),
        ("rose", 111, 100, True), ("rose", 109, 100, False),
    ],
)  # fmt: skip
def test_conditions(condition: str, value: int, before: int | None, astray: bool) -> None:
    alert = Alert(condition=condition, threshold=Decimal(10))
    assert is_astray(alert, Decimal(value), None if before is None else Decimal(before)) is astray


def test_an_alert_watches_a_figure_not_a_list(boards: Any) -> None:
    board = boards.make(Dashboard, name="Mine")
    records = boards.make(Card, dashboard_id=str(board.id), title="Open", shape="list", entity="sales.opportunity")
    with pytest.raises(Invalid, match="no figure to watch"):
        boards.make(Alert, card_id=str(records.id), name="Nothing", condition="below", threshold=1)
