"""Jobs by Celery: the table remembers every job, a broker (Redis or RabbitMQ) wakes those who do them.

The relay hands over a job only when it is due, as the message `(job, fence)` and nothing else. Whoever gets the message
claims the row with that fence, so of two messages for one job the second finds nothing to do. A message that is lost is
sent again when its lease is over; while the broker is down, jobs wait in the table.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rapport.config import Config
from rapport.errors import RapportError
from rapport.jobs import Released, release_jobs, run_released, take_back

if TYPE_CHECKING:
    from celery import Celery

    from rapport.site import Site

log = logging.getLogger("rapport.broker")
TASK = "rapport.run_job"
PAUSE_SECONDS = 5.0
"""How long the relay leaves a broker alone that did not answer."""
CONNECT_SECONDS = 4
ANSWER_SECONDS = 8
"""A broker that says nothing for so long is taken for one that is away: packets may be lost without a word."""


def queue_of(config: Config) -> str:
    """The queue of a site, the same on each of its machines: sites may share a broker and do not meet."""
    return "rapport-" + hashlib.sha256(f"queue of {config.secret_key}".encode()).hexdigest()[:12]


def make_celery(config: Config) -> Celery:
    """Celery, set up to lose nothing that the table does not know, and to run nothing but `rapport.run_job`."""
    from celery import Celery

    app = Celery("rapport", broker=config.broker_url, set_as_current=False)
    if config.broker_url.startswith("redis"):
        transport = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": ANSWER_SECONDS}
    else:
        transport = {"confirm_publish": True, "read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=CONNECT_SECONDS,
        broker_transport_options=transport,
        task_default_queue=queue_of(config),
        task_ignore_result=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
    )
    return app


class Relay:
    """Hands due jobs to the broker, and leaves it alone for a while after it did not answer."""

    def __init__(self, config: Config) -> None:
        self._app = make_celery(config)
        self._down_until = 0.0

    def release(self, site: Site) -> int:
        """Hand over what is due; returns how many jobs."""
        if time.monotonic() < self._down_until:
            return 0
        released = release_jobs(site)
        for number, job in enumerate(released):
            if not self._send(job):
                take_back(site, released[number:])
                self._down_until = time.monotonic() + PAUSE_SECONDS
                return number
        return len(released)

    def _send(self, job: Released) -> bool:
        from celery.exceptions import OperationalError

        try:
            self._app.send_task(TASK, args=[job.id.hex, job.fence], retry=False)
        except (OperationalError, OSError) as error:
            log.warning("the broker does not answer, so jobs wait: %s", error)
            return False
        return True


@functools.cache
def relay_of(config: Config) -> Relay:
    """The relay of this process."""
    return Relay(config)


def check_broker(config: Config) -> None:
    """RapportError when the broker does not answer."""
    from celery.exceptions import OperationalError

    try:
        with make_celery(config).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=CONNECT_SECONDS, errback=None)
    except (OperationalError, OSError) as error:
        raise RapportError(f"The broker at broker_url does not answer: {error}") from None


def work_for_broker(current: Callable[[], Site], config: Config, threads: int) -> None:
    """Be a Celery worker with so many threads until told to stop by a signal; what runs is finished."""
    app = make_celery(config)

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def run_job(job_id: str, fence: int) -> None:
        run_released(current(), UUID(job_id), fence)

    options: dict[str, Any] = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
    app.Worker(pool="threads", concurrency=threads, quiet=True, loglevel="WARNING", **options).start()
