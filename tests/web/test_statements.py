"""However many records there are, a page costs the same number of statements. The pages are found, not listed."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from rapport import store
from rapport.entities import Entity, Field, utcnow
from rapport.errors import Conflict, Invalid
from rapport.interactions.consent import Purpose
from rapport.plugins import discover
from rapport.testing.values import without
from tests.torture import LONG, in_turn

FEW, MANY, AT_MOST = 3, 12, 65
BY_THEMSELVES = {
    "user", "team", "membership", "pipeline", "stage", "workflow", "purpose", "quiet_hours", "frequency_cap",
    "retention_rule", "webhook", "inbound_hook", "sales.quota", "service.agent", "callcenter.agent", "portal.visit",
    "insights.model", "insights.forecast", "strategy.objective", "strategy.reading", "warehouse.recipient",
    "strategy.case", "strategy.factor", "strategy.rollout",
}  # fmt: skip
"""Made in other ways than by filling in a form, or few by their nature."""
NO_PAGES = {"web.static", "web.undo_batch"}


def made_by_people(entity: type[Entity]) -> bool:
    """Whether filling in a form makes such a record: not what modules keep, nor what administrators lay out."""
    meta = entity.meta
    laid_out = not meta.listed and not meta.roles
    return meta.name not in BY_THEMSELVES and not laid_out and not any(f.readonly for f in meta.parents)


def value_of(app: Any, field: Field, number: int, made: dict[str, list[UUID]]) -> Any:
    """Something that fits. References point at the first record of their kind, those to another at the second."""
    if field.target:
        known = made.get(field.target, [])[:2]
        return str(known[-1 if field.name.startswith("other") else 0]) if known else None
    if field.kind == "file":
        return str(store(app.site, io.BytesIO(b"bytes"), f"file {number}.txt", app.admin).id)
    if field.name == "channel":
        return next(iter(app.site.channels.names()))
    if field.name.endswith("currency"):
        return "EUR"
    if field.choices:
        return field.choices[0].value
    values: dict[str, Any] = {
        "text": f"word{number}@example.com",  # which is an address as well, where a text must be one
        "longtext": f"Line {number}", "integer": number, "decimal": number, "money": 10 * number,
        "date": (dt.date(2026, 1, 1) + dt.timedelta(days=number)).isoformat(), "instant": utcnow().isoformat(),
        "flag": True, "tags": [f"tag {number}"], "email": f"someone{number}@example.com",
        "phone": f"+4420794600{number:02}", "url": f"https://example.com/{number}",
        "address": {"city": f"Town {number}"},
    }  # fmt: skip
    return values.get(field.kind)


def fill(app: Any, entity: type[Entity], number: int, made: dict[str, list[UUID]]) -> None:
    """One record of a kind, with everything filled in that can be and is not refused by a rule of the kind's own."""
    fields = [f for f in entity.meta.writable if not f.secret and f.target != entity.meta.name]
    values = {f.name: value for f in fields if (value := value_of(app, f, number, made)) is not None}
    record_id = None
    while record_id is None:
        try:
            record_id = create(app, entity, values)
        except Invalid as refused:  # raised again when nothing can be left out
            values = without(entity, values, refused)
        except Conflict:  # there may be one only with each, so this one is with another
            others = {f.name: made[f.target] for f in fields if f.target in made and f.name in values}
            apart = {name: str(known[min(number, len(known)) - 1]) for name, known in others.items()}
            record_id = create(app, entity, {**values, **apart})
    made.setdefault(entity.meta.name, []).append(record_id)


def create(app: Any, entity: type[Entity], values: dict[str, Any]) -> UUID:
    with app.site.write(app.admin) as unit:
        return unit.create(entity, values).id


@pytest.fixture
def everything(make_app: Any, remembering: None) -> Iterator[Any]:
    """A site with every module that is installed."""
    with make_app(plugins=sorted(discover())) as app:
        yield app


@pytest.fixture
def count(everything: Any) -> Callable[[Any, str], int]:
    """How many statements a page costs."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    engines = (everything.site.db.reading, everything.site.db.writing)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)

    def counted(browser: Any, url: str) -> int:
        seen.clear()
        with browser.get(url) as answer:
            assert answer.status_code == 200, (url, answer.status_code)
            assert answer.data is not None
        return len(seen)

    return counted


def pages(app: Any, made: dict[str, list[UUID]]) -> list[str]:
    """The addresses of every page that shows records: each rule of the web, with every kind of record it may be for."""
    found = ["/search?q=word1", "/search?q=example"]
    listed = [entity.meta for entity in app.site.entities if entity.meta.listed]
    for rule in app.flask.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or not rule.endpoint.startswith("web.") or rule.endpoint in NO_PAGES:
            continue
        if rule.arguments <= {"name", "target"}:
            names = [meta.name for meta in listed if meta.staged or not rule.rule.endswith("/board")]
            found += [re.sub("<(name|target)>", name, rule.rule) for name in names] if rule.arguments else [rule.rule]
        elif rule.arguments <= {"name", "record_id"}:
            address = rule.rule.replace("<uuid:record_id>", "{}")
            for name, (record_id, *_others) in made.items():
                if "<name>" in rule.rule or rule.rule.startswith(f"/{name}/"):
                    found.append(address.replace("<name>", name).format(record_id))
    return list(dict.fromkeys(found))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("database_url", in_turn(0), indirect=True)  # both send the same statements
def test_no_page_costs_more_statements_because_there_are_more_records(everything: Any, count: Any) -> None:
    app = everything
    people, team = [app.user(f"Some {role}", roles=[role]) for role in ("admin", "manager")], app.team("Everybody")
    browsers = [app.browser(each) for each in people]
    with app.site.read(app.admin) as reader:
        purposes = [each.id for each in reader.all(Purpose)]
    made: dict[str, list[UUID]] = {"user": [people[0].id], "team": [team.id], "purpose": purposes}

    def grow(start: int, end: int) -> None:
        for entity in app.site.entities:
            if made_by_people(entity):
                for number in range(start, end):
                    fill(app, entity, number, made)
        app.settle()

    grow(1, FEW)  # twice, so that what comes earlier may point at what comes later
    grow(FEW, 2 * FEW)
    asked = pages(app, made)
    each = [asked] * 2 if LONG else [asked[::2], asked[1::2]]  # two people share them, in `make torture` both see all
    shown = [(number, url) for number, browser in enumerate(browsers) for url in pages_for(browser, each[number])]
    assert len(shown) > 120
    few = {(number, url): count(browsers[number], url) for number, url in shown}
    grow(2 * FEW, MANY)
    grown = {(number, url): (before, count(browsers[number], url)) for (number, url), before in few.items()}
    assert {key: pair for key, pair in grown.items() if pair[1] > pair[0]} == {}
    # What is held on a person, and what a colleague has to do with, is read from every kind of record there is.
    wide = ("/personal-data", f"/user/{people[0].id}")
    costs = {key: after for key, (_before, after) in grown.items() if not key[1].endswith(wide)}
    assert {key: after for key, after in costs.items() if after > AT_MOST} == {}


def pages_for(browser: Any, urls: list[str]) -> list[str]:
    """Those of the pages that a person sees, with the tabs on them."""
    found: list[str] = []
    for url in urls:
        with browser.get(url) as answer:
            if answer.status_code != 200:  # not for this person, or an answer to a form only
                continue
            found.append(url)
            if answer.mimetype == "text/html":
                tabs = re.findall(r'href="([^"]+\?tab=[^"]+)"', answer.get_data(as_text=True))
                found += [tab.replace("&amp;", "&") for tab in tabs]
    return found
