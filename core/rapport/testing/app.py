"""A site for a test, with a signed-in administrator, an HTTP client and helpers that read like the story."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from rapport.access import Actor, Team, User, system
from rapport.access.service import create_token, create_user
from rapport.app import assemble, create_app
from rapport.config import Config
from rapport.customers import Customer
from rapport.events import deliver_all
from rapport.lifecycle import enable, make_site
from rapport.plugins import dependencies, discover
from rapport.site import Site
from rapport.testing.prepared import copy_prepared
from rapport.worker import work

PASSWORD = "correct horse battery"  # noqa: S105 - the tests' own


@dataclass(frozen=True, slots=True)
class Actors:
    """A set of people who may do different things: enough to tell who sees and changes what."""

    admin: Actor
    """May do everything."""
    manager: Actor
    """Has the role manager, and is in the member's team."""
    member: Actor
    """Has the role member, as most people do."""
    viewer: Actor
    """Has the role viewer: reads and changes nothing."""
    stranger: Actor
    """Has the role member too, in another team."""


class TestApp:
    """A running application over a fresh site. Events are told and jobs run when you say `settle()`."""

    __test__ = False

    def __init__(self, site: Site, flask: Flask | None = None) -> None:
        self.site = site
        if flask is not None:
            vars(self)["flask"] = flask
        self.admin = self.user("Ada Admin", roles=["admin"])

    @functools.cached_property
    def flask(self) -> Flask:
        """The application over the site; many a story needs none."""
        return assemble(self.site)

    def user(
        self, name: str, *, roles: Sequence[str] = ("member",), teams: Sequence[Team] = (), **values: Any
    ) -> Actor:
        """Make a user, or find the one of this name, and return them as an actor."""
        email = name.lower().replace(" ", ".") + "@example.com"
        with self.site.write(system("test")) as unit:
            known = unit.reader.all(User, User.email == email)
            user = known[0] if known else create_user(
                unit, name=name, email=email, password=PASSWORD, roles=roles, teams=teams, **values
            )  # fmt: skip
            user_id = user.id
        actor = self.site.actor(user_id)
        assert actor is not None
        return actor

    def team(self, name: str) -> Team:
        """Make a team."""
        with self.site.write(system("test")) as unit:
            return unit.create(Team, {"name": name})

    def actors(self) -> Actors:
        """The ready set of people, made on first use."""
        ours, theirs = self._team_named("North"), self._team_named("South")
        return Actors(
            admin=self.admin,
            manager=self.user("Mona Manager", roles=["manager"], teams=[ours]),
            member=self.user("Mo Member", teams=[ours]),
            viewer=self.user("Vera Viewer", roles=["viewer"], teams=[ours]),
            stranger=self.user("Sam Stranger", teams=[theirs]),
        )

    def _team_named(self, name: str) -> Team:
        with self.site.read(system("test")) as reader:
            known = reader.all(Team, Team.name == name)
        return known[0] if known else self.team(name)

    def create_customer(self, *, actor: Actor | None = None, **values: Any) -> Customer:
        """Make a customer and let every plugin hear of it."""
        with self.site.write(actor or self.admin) as unit:
            customer = unit.create(Customer, values)
        self.settle()
        return customer

    def settle(self) -> None:
        """Do all that a worker would: tell every event, follow every change, run every job that is due."""
        while work(self.site):
            pass

    @property
    def client(self) -> FlaskClient:
        """An HTTP client with the administrator's token, for the API."""
        return self.api(self.admin)

    def api(self, actor: Actor, *, scopes: Sequence[str] = ()) -> FlaskClient:
        """An HTTP client with a token of somebody's."""
        with self.site.write(system("test")) as unit:
            user = unit.get(User, _id(actor))
            token = create_token(unit, user, name="test", scopes=scopes)
        client = self.flask.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    def browser(self, actor: Actor | None = None) -> FlaskClient:
        """An HTTP client with somebody signed in to the web, as a browser would be."""
        client = self.flask.test_client()
        page = client.get("/sign-in").get_data(as_text=True)
        token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
        answer = client.post(
            "/sign-in", data={"email": (actor or self.admin).email, "password": PASSWORD, "csrf_token": token}
        )
        assert answer.status_code == 302, answer.get_data(as_text=True)
        return client

    def submit(self, browser: FlaskClient, url: str, form: Mapping[str, Any]) -> TestResponse:
        """Send a form as a browser does, with the token that proves it came from one of our pages."""
        page = browser.get("/account").get_data(as_text=True)
        token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
        return browser.post(url, data={**form, "csrf_token": token})

    @contextlib.contextmanager
    def queries(self) -> Iterator[list[str]]:
        """The statements that are sent to read with, in a `with`: to see that a page needs few of them."""
        sent: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if statement.startswith("SELECT"):
                sent.append(statement)

        event.listen(self.site.db.reading, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(self.site.db.reading, "before_cursor_execute", note)

    def cards_of(self, customer: Customer) -> list[str]:
        """The numbers of a customer's loyalty cards: for the example plugin's story."""
        answer = self.client.get("/api/v1/loyalty.card", query_string={"filter": f'customer_id = "{customer.id}"'})
        return [card["number"] for card in answer.get_json()["items"]]


@contextlib.contextmanager
def make_test_site(
    home: Path, database_url: str = "", *, plugins: Sequence[str] = (), **config_values: Any
) -> Iterator[TestApp]:
    """A test app over the site in `home`, made on first use; the same home again opens the same data.

    With the plugins come those that they need. Other values are those of rapport.toml: `outbound_allow=("…",)`.
    """
    config = Config(
        home=home, database_url=database_url, secret_key="test " * 8, testing=True, plugins=_with_needed(plugins),
        base_url="http://localhost", **config_values,
    )  # fmt: skip
    if copy_prepared(config, config.plugins or (), _prepare):
        flask, site = None, Site.open(config)
    else:
        flask, site = _made(config, plugins)
    try:
        yield TestApp(site, flask)
    finally:
        site.close()


def _made(config: Config, plugins: Sequence[str]) -> tuple[Flask, Site]:
    copy_prepared(config, (), make_site)  # the core's tables are the same for all
    make_site(config)
    if plugins:
        enable(config, *plugins)
    flask = create_app(config)
    site: Site = flask.extensions["rapport"]
    deliver_all(site)
    return flask, site


def _prepare(config: Config) -> None:
    flask, site = _made(config, config.plugins or ())
    TestApp(site, flask)
    site.close()


def _with_needed(plugins: Sequence[str]) -> tuple[str, ...]:
    installed, wanted = discover(), list(plugins)
    for name in wanted:  # which grows while it is walked
        if name in installed:
            wanted += [each for each in dependencies(installed[name], installed) if each not in wanted]
    return tuple(wanted)


def _id(actor: Actor) -> UUID:
    assert actor.id is not None
    return actor.id
