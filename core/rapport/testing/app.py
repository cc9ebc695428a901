"""A site for a test, with a signed-in administrator, an HTTP client and helpers that read like the story."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient

from rapport.access import Actor, Team, User, system
from rapport.access.service import create_token, create_user
from rapport.app import create_app
from rapport.config import Config
from rapport.customers import Customer
from rapport.events import deliver_all
from rapport.jobs import run_next
from rapport.lifecycle import enable, make_site
from rapport.site import Site

PASSWORD = "correct horse battery"  # noqa: S105 - the tests' own


class TestApp:
    """A running application over a fresh site. Events are told and jobs run when you say `settle()`."""

    __test__ = False

    def __init__(self, flask: Flask, site: Site) -> None:
        self.flask = flask
        self.site = site
        self.admin = self.user("Ada Admin", roles=["admin"])

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

    def create_customer(self, *, actor: Actor | None = None, **values: Any) -> Customer:
        """Make a customer and let every plugin hear of it."""
        with self.site.write(actor or self.admin) as unit:
            customer = unit.create(Customer, values)
        self.settle()
        return customer

    def settle(self) -> None:
        """Tell every event and run every job that is due."""
        deliver_all(self.site)
        while run_next(self.site):
            deliver_all(self.site)

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

    def cards_of(self, customer: Customer) -> list[str]:
        """The numbers of a customer's loyalty cards: for the example plugin's story."""
        answer = self.client.get("/api/v1/loyalty.card", query_string={"filter": f'customer_id = "{customer.id}"'})
        return [card["number"] for card in answer.get_json()["items"]]


@contextlib.contextmanager
def make_test_site(home: Path, database_url: str = "", *, plugins: Sequence[str] = ()) -> Iterator[TestApp]:
    """A test app over the site in `home`, made on first use; the same home again opens the same data."""
    config = Config(
        home=home, database_url=database_url, secret_key="test " * 8, testing=True, plugins=tuple(plugins),
        base_url="http://localhost",
    )  # fmt: skip
    make_site(config)
    for plugin in plugins:
        enable(config, plugin)
    flask = create_app(config)
    site: Site = flask.extensions["rapport"]
    deliver_all(site)
    try:
        yield TestApp(flask, site)
    finally:
        site.close()


def _id(actor: Actor) -> UUID:
    assert actor.id is not None
    return actor.id
