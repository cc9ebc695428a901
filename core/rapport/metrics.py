"""Figures for whoever watches the site, as Prometheus reads them: requests, what waits, what failed, the database.

Off until `metrics_token` is set. All processes of one `rapport serve` count together, in files of a folder of theirs.
"""

from __future__ import annotations

import functools
import hmac
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, request
from sqlalchemy import func, select, text

from rapport.access import Actor, system
from rapport.config import Config
from rapport.entities import table_of, utcnow
from rapport.followers import follower_table, set_aside_table
from rapport.http import current_site, needs, sign_in_by
from rapport.interactions.messages import Message
from rapport.jobs import job_table
from rapport.records.log import change_log, delivery_table

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from rapport.site import Site

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder that the processes share; prometheus_client looks there when it is first imported."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@contextmanager
def counted_together(config: Config) -> Iterator[None]:
    """Within the block, processes that are started count in one place; for who starts several."""
    if not config.metrics_token:
        yield
        return
    os.environ[SHARED] = folder = tempfile.mkdtemp(prefix="rapport-metrics-")
    try:
        yield
    finally:
        del os.environ[SHARED]
        shutil.rmtree(folder, ignore_errors=True)


def mount(app: Flask) -> None:
    """Count and time every request from now on, and show the figures at /metrics to whoever has the token."""
    meters = _meters()

    def begin() -> None:
        g.metrics_since = time.perf_counter()

    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"  # never the path: addresses have no end
        meters.requests.labels(request.method, route, str(response.status_code)).inc()
        if "metrics_since" in g:
            meters.seconds.labels(request.method, route).observe(time.perf_counter() - g.metrics_since)
        return response

    app.before_request_funcs.setdefault(None, []).insert(0, begin)
    app.after_request(end)
    sign_in_by(app, "/metrics", _by_token)
    app.add_url_rule("/metrics", "metrics", needs("")(_metrics))


def _by_token() -> Actor | Response:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = current_site().config.metrics_token
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), wanted.encode()):
        return system("metrics")
    return Response("Send the header Authorization: Bearer <metrics_token>, as in rapport.toml.\n", 401,
                    {"WWW-Authenticate": "Bearer"}, content_type="text/plain; charset=utf-8")  # fmt: skip


def _metrics() -> Response:
    """Everything, in Prometheus' text format."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    now = CollectorRegistry()
    now.register(_Standing(current_site()))
    counted = _meters().registry
    if os.environ.get(SHARED):
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    return Response(generate_latest(counted) + generate_latest(now), content_type=CONTENT_TYPE_LATEST)


class _Meters:
    """What is counted as it happens."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self.registry = CollectorRegistry()
        self.requests = Counter(
            "rapport_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "rapport_request_seconds", "Time until the answer was ready to be sent.", ["method", "route"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip


@functools.cache
def _meters() -> _Meters:
    """Those of this process: they outlive the generations of its site."""
    return _Meters()


class _Standing:
    """What is looked up when somebody asks: it stands in the database, the same for all processes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def collect(self) -> Iterator[Metric]:
        """Each figure in turn."""
        from prometheus_client.core import GaugeMetricFamily

        def gauge(name: str, says: str, values: dict[str, Any], label: str = "state") -> Metric:
            family = GaugeMetricFamily(f"rapport_{name}", says, labels=[label])
            for key, value in values.items():
                family.add_metric([key], float(value))
            return family

        def single(name: str, says: str, value: float) -> Metric:
            return GaugeMetricFamily(f"rapport_{name}", says, value=float(value))

        job, told, place = job_table.c, delivery_table.c, follower_table.c
        message = table_of(Message).c
        now = utcnow()
        with self._site.db.read() as connection:
            begun = time.perf_counter()
            connection.execute(text("SELECT 1"))
            took = time.perf_counter() - begun

            def counts(column: Any, *states: str) -> dict[str, Any]:
                found = connection.execute(select(column, func.count()).where(column.in_(states)).group_by(column))
                return dict.fromkeys(states, 0) | {row[0]: row[1] for row in found}

            def age(due: Any, *conditions: Any) -> float:
                oldest = connection.scalar(select(func.min(due)).where(*conditions))
                return max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0

            yield gauge("jobs", "Jobs by state; those that are done are not counted.",
                        counts(job.state, "waiting", "running", "failed"))  # fmt: skip
            yield single("jobs_oldest_seconds", "How long the longest-waiting job has been due.",
                         age(job.due_at, job.state == "waiting", job.due_at <= now))  # fmt: skip
            yield gauge("outbox", "What plugins are to be told: waiting, or given up.",
                        counts(told.state, "waiting", "dead"))  # fmt: skip
            yield single("outbox_oldest_seconds", "How long the longest-waiting of those has been due.",
                         age(told.due_at, told.state == "waiting", told.due_at <= now))  # fmt: skip
            yield gauge("messages", "Messages to customers that wait, are being sent, or failed.",
                        counts(message.state, "waiting", "sending", "failed"))  # fmt: skip
            end = connection.scalar(select(func.max(change_log.c.seq))) or 0
            places = connection.execute(select(place.name, place.seq)).all()
            yield gauge("followers_behind", "How many lines of the log each follower has not looked at.",
                        {name: max(0, end - seq) for name, seq in places}, "follower")  # fmt: skip
            yield single("set_aside", "Changes that a follower failed to follow.",
                         connection.scalar(select(func.count()).select_from(set_aside_table)) or 0)  # fmt: skip
            yield single("database_seconds", "How long the database took to answer the least of questions.", took)
            size = (
                "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
                if self._site.db.is_sqlite
                else "SELECT pg_database_size(current_database())"
            )
            yield single("database_bytes", "How large the database is.", connection.scalar(text(size)) or 0)
        enabled = [plugin for plugin in self._site.plugins.values() if plugin.enabled]
        active = sum(self._site.active(plugin.name) for plugin in enabled)
        yield gauge("plugins", "Plugins that run, and that should run and do not.",
                    {"active": active, "troubled": len(enabled) - active})  # fmt: skip
