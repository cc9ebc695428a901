"""A workflow tells another server what happened, once it has happened, and again until that server answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.webhooks.receivers import receiver

from .conftest import Workflows

TELL = """name: tell_the_shop
entity: customer
start: {{event: created}}
initial: telling
states:
  telling:
    entry: [{{webhook: {{url: "{url}"}}}}]
    final: true
"""


def test_another_server_is_told_of_a_step_again_until_it_answers_and_nobody_inside_by_mistake(
    make_app: Callable[..., Any], clock: Any
) -> None:
    with receiver() as shop, receiver() as private, make_app(outbound_allow=[shop.at]) as app:
        shop.reply = lambda heard: (503, {}, b"")
        Workflows(app).make(TELL.format(url=shop.url))
        Workflows(app).make(TELL.format(url=private.url).replace("the_shop", "the_inside"))
        ada = app.create_customer(name="Ada")
        shop.reply = lambda heard: (204, {}, b"")
        clock.forward(minutes=5)
        app.settle()
        first, again = shop.heard
        assert first.headers["webhook-id"] == again.headers["webhook-id"]
        assert first.body == again.body
        assert json.loads(again.body)["record"]["id"] == str(ada.id)
        assert private.connections == 0
