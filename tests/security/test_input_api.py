"""Whatever a program sends, as whoever: an answer as the API's own description says, and never an error of ours."""

from __future__ import annotations

import gc
import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis
import pytest
import schemathesis
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi

from rapport.http import public
from rapport.testing import TestApp
from tests.security.kinds import one_of_each, whole_site
from tests.torture import LONG, tally, tries

# Schemathesis leaves the files in which it keeps what it sends to be closed when the memory is tidied.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CHECKS = [
    openapi.status_code_conformance, openapi.content_type_conformance, openapi.response_schema_conformance,
    openapi.response_headers_conformance, openapi.negative_data_rejection,
]  # fmt: skip


@schemathesis.serializer("application/x-ndjson")
def _lines(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@dataclass
class Walk:
    """Every operation of a site's API, with data made from its description and bent away from it, as several people."""

    app: TestApp
    made: dict[str, UUID]
    clients: dict[str, Any]
    operations: list[Any]
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def go(self, every: int, offset: int, examples: int) -> None:
        for operation in self.operations[offset::every]:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._try(operation, mode, examples)

    def _try(self, operation: Any, mode: GenerationMode, examples: int) -> None:
        numbers = itertools.count()
        settings = hypothesis.settings(
            max_examples=examples, database=None, deadline=None, derandomize=True,
            phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip

        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        @settings
        def send(case: Any) -> None:
            if next(numbers) % 2 == 0:
                self._meet(case)
            told = {name: text for name, text in (case.headers or {}).items() if name.lower() != "authorization"}
            for who, client in self.clients.items():
                case.headers = {**told, **client}
                self._send(who, case, mode)

        try:
            send()
        except hypothesis.errors.Unsatisfiable:  # nothing of an operation without parameters can be bent
            return

    def _meet(self, case: Any) -> None:
        """Aim at what is there, so that more than a 404 is seen."""
        name = case.operation.path.split("/")[3] if case.operation.path.startswith("/api/v1/") else ""
        if "id" in (case.path_parameters or {}) and name in self.made:
            case.path_parameters["id"] = str(self.made[name])
            case.headers = {**(case.headers or {}), "If-Match": '"1"'}

    def _send(self, who: str, case: Any, mode: GenerationMode) -> None:
        told = (
            f"{who}: {case.method} {case.formatted_path} {case.query!r:.200} {case.headers!r:.200} {case.body!r:.300}"
        )
        try:
            answer = case.call()
        except Exception as error:  # what would be a 500
            self.wrong.append(f"500 {told} {error!r}")
            return
        self.answers[who, answer.status_code] += 1
        if answer.status_code >= 500:
            self.wrong.append(f"{answer.status_code} {told} {answer.text[:300]}")
        elif who == "nobody" and answer.status_code < 400:
            self.wrong.append(f"{answer.status_code} {told}")
        else:
            try:
                case.validate_response(answer, checks=CHECKS)
            except FailureGroup as group:
                self.wrong += [f"{told}: {each.title}: {each.message!s:.600}" for each in group.exceptions]
            except Failure as each:
                self.wrong.append(f"{told}: {each.title}: {each.message!s:.600}")


def walk_of(app: TestApp, made: dict[str, UUID]) -> Walk:
    """A walk as nobody, as two who may do some things, and as one who may do everything."""
    people = app.actors()
    clients: dict[str, dict[str, str]] = {"nobody": {}} | {
        who: {"Authorization": app.api(getattr(people, who)).environ_base["HTTP_AUTHORIZATION"]}
        for who in ("viewer", "member", "admin")
    }
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app.flask)
    return Walk(app, made, clients, [each.ok() for each in schema.get_all_operations()])


def test_no_data_breaks_the_api(database_url: str, tmp_path: Path) -> None:
    with whole_site(tmp_path, database_url) as app:
        walk = walk_of(app, one_of_each(app))
        # In the short form each kind of database gets one in so many operations, and other ones.
        walk.go(every=tries(24, long=1), offset=0 if LONG or database_url.startswith("sqlite") else 3,
                examples=tries(1, long=4))  # fmt: skip
        for who, client in walk.clients.items():  # nobody's token was lost on the way
            answer = app.flask.test_client().get("/api/v1/customer", headers=client)
            assert answer.status_code == (401 if who == "nobody" else 200), who
    gc.collect()
    assert walk.wrong == []
    sent = walk.answers.total()
    assert sent > tries(300, long=1000)
    assert {code for (_who, code) in walk.answers} >= {200, 201, 401, 403, 404, 422}
    tally("B1", "data for the API, as four people", tried=sent, failed=0, unlike_the_description=0, let_in=0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_breaks_is_not_described_or_lets_anybody_in_is_found(app: TestApp) -> None:
    """The control: a page that fails, one that answers otherwise than it says, and one that asks for no token."""
    walk = walk_of(app, {})
    faults: dict[str, Any] = {
        "team": lambda: 1 / 0,
        "role": lambda: {"items": 7},
        "task": lambda: {"items": [], "next": None},
    }
    for endpoint, view in list(app.flask.view_functions.items()):
        for name, fault in faults.items():
            if endpoint.endswith(f".{name}-list"):
                fault.__dict__.update(view.__dict__ if name != "task" else public(fault).__dict__)
                app.flask.view_functions[endpoint] = fault
    walk.operations = [each for each in walk.operations if each.method == "get" and each.path.split("/")[3] in faults]
    walk.go(every=1, offset=0, examples=2)
    told = "\n".join(walk.wrong)
    assert "500 admin: GET /api/v1/team" in told
    assert "admin: GET /api/v1/role" in told
    assert "200 nobody: GET /api/v1/task" in told
    tally("B1", "data for the API, as four people", control=3)
    gc.collect()
