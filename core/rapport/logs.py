"""What Rapport says while it runs. With `log_format = "json"`, one line of JSON for each thing, for collecting them."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import time
from typing import Any

from flask import Flask, Response, g, has_request_context, request

from rapport.config import Config

log = logging.getLogger("rapport.request")
FACTS = "rapport_facts"
"""Under this name a record of the log may carry more than its message."""


class JsonLines(logging.Formatter):
    """When, how grave, who says it, what; and in a request, which one it was."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "at": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            "thread": record.threadName,
            **(_of_request() if has_request_context() else {}),
            **getattr(record, FACTS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _of_request() -> dict[str, Any]:
    # The rule, not the address: that may hold what only its receiver should know, such as a link to sign in with.
    route = request.url_rule.rule if request.url_rule else ""
    who = g.actor.id if "actor" in g else None
    return {"method": request.method, "route": route, "actor": None if who is None else str(who)}


def configure(config: Config) -> None:
    """Decide, for this process, what is said and how; for processes that serve or work until they are stopped."""
    if config.log_format != "json":
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("rapport").setLevel(logging.INFO)


def mount(app: Flask) -> None:
    """A line for every request that was answered: which, how it ended, and how long it took."""

    def begin() -> None:
        g.logs_since = time.perf_counter()

    def end(response: Response) -> Response:
        took = round((time.perf_counter() - g.logs_since) * 1000, 2) if "logs_since" in g else None
        log.info("answered", extra={FACTS: {"status": response.status_code, "milliseconds": took}})
        return response

    app.before_request_funcs.setdefault(None, []).insert(0, begin)
    app.after_request(end)
