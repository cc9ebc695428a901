"""Message brokers for tests of jobs by Celery: Redis and RabbitMQ, where there are any."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from rapport.broker import check_broker, make_celery, queue_of
from rapport.config import Config
from rapport.errors import RapportError

BROKERS = {
    "redis": ("RAPPORT_TEST_REDIS", "redis://127.0.0.1:6379/15"),
    "rabbitmq": ("RAPPORT_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"),
}


@functools.cache
def broker(kind: str) -> str | None:
    """The URL of a broker: the one that a variable names, or one on this machine; None when none answers."""
    variable, here = BROKERS[kind]
    url = os.environ.get(variable, here)
    try:
        check_broker(Config(home=Path(), broker_url=url, secret_key="none " * 8))
    except RapportError:
        return None
    return url


def empty_queue(config: Config) -> int:
    """Lose every message of a site, as a broker may that is restarted; returns how many."""
    with make_celery(config).connection_for_write() as connection:
        queue = connection.SimpleQueue(queue_of(config))
        lost: int = queue.clear()
        queue.close()
    return lost


def drop_queue(config: Config) -> None:
    """Take a site's queue away again."""
    with make_celery(config).connection_for_write() as connection:
        connection.default_channel.queue_delete(queue_of(config))
