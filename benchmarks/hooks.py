"""What plugins cost those who do not use them.

    python benchmarks/hooks.py

Two figures, each with its aim: a hook call that nobody listens to takes less than a microsecond, and reading a record
over the API takes at most a tenth longer with 20 plugins than with one. Ends with 1 when an aim is missed.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rapport import hookspecs
from rapport.hooks import Hooks
from rapport.testing import TestApp, make_test_site

CALLS = 200_000
ROUNDS = 15
GETS = 200
UNHEARD_AIM = 1.0
"""Microseconds."""
RATIO_AIM = 1.10

PLUGIN = """
from flask import Blueprint
from sqlalchemy.orm import Mapped
from rapport import Column, Entity, NavItem, Setting, Summary, field, hookimpl
from rapport.http import needs

class Thing(Entity, name="{name}.thing", title="Thing"):
    label: Mapped[str] = field(label="Label")

pages = Blueprint("{name}", __name__)
pages.add_url_rule("/{name}", view_func=needs("")(lambda: "{name}"), endpoint="page")

@hookimpl
def register_entities(): return [Thing]
@hookimpl
def register_pages(): return [pages]
@hookimpl
def register_navigation(): return [NavItem("{name}", "/{name}", "star")]
@hookimpl
def register_settings(): return [Setting("{name}.size", "Size")]
@hookimpl
def register_columns(): return [Column("customer", "{name}", "{name}", lambda reader, ids: {{}})]
@hookimpl
def validate_customer(customer): return []
@hookimpl
def customer_created(customer): pass
@hookimpl
def summarize_customers(customer_ids): return []
"""


def install(root: Path, names: list[str]) -> None:
    """Plugins as real distributions, each with an entity, a page, a menu entry, a setting, a column and three hooks."""
    for name in names:
        (root / f"rapport_{name}.py").write_text(PLUGIN.format(name=name))
        info = root / f"rapport_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rapport-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[rapport.plugins]\n{name} = rapport_{name}\n")
    sys.path.insert(0, str(root))


def per_call(work: Callable[[], Any], calls: int = CALLS) -> float:
    """Microseconds for one call: the median of some rounds, without the cost of the loop."""
    figures = []
    for _ in range(7):
        start = time.process_time()
        for _ in range(calls):
            work()
        took = time.process_time() - start
        start = time.process_time()
        for _ in range(calls):
            pass
        figures.append((took - (time.process_time() - start)) / calls * 1e6)
    return statistics.median(figures)


class Listener:
    """A plugin that listens and has nothing to say."""

    @hookspecs.hookimpl
    def validate_customer(self, customer: Any) -> list[Any]:
        return []


def getter(app: TestApp) -> Callable[[], None]:
    """Read one customer over the API."""
    customer = app.create_customer(name="Ada")
    client, path = app.client, f"/api/v1/customer/{customer.id}"
    assert client.get(path).get_json()["name"] == customer.name

    def get() -> None:
        client.get(path)

    return get


@contextlib.contextmanager
def site(root: Path, name: str, plugins: list[str]) -> Iterator[TestApp]:
    with make_test_site(root / name, plugins=plugins) as app:
        yield app


def main() -> None:
    hooks = Hooks()
    unheard = per_call(lambda: hooks.collect(hookspecs.validate_customer, customer=None, session=None))
    hooks.add("listener", Listener())
    heard = per_call(lambda: hooks.collect(hookspecs.validate_customer, customer=None, session=None), CALLS // 10)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        root = Path(scratch)
        (root / "installed").mkdir()
        names = [f"bench{number:02}" for number in range(20)]
        install(root / "installed", names)
        one = getter(stack.enter_context(site(root, "one", names[:1])))
        twenty = getter(stack.enter_context(site(root, "twenty", names)))
        times: dict[str, list[float]] = {"one": [], "twenty": []}
        for _ in range(ROUNDS):  # in turns, so that both meet the same weather
            for name, get in (("one", one), ("twenty", twenty)):
                times[name].append(per_round(get))
    alone, crowd = min(times["one"]), min(times["twenty"])
    print(f"{'a hook call that nobody listens to':44} {unheard:8.2f} µs   aim: below {UNHEARD_AIM:g} µs")
    print(f"{'a hook call that one plugin listens to':44} {heard:8.2f} µs")
    print(f"{'GET of a customer, one plugin':44} {alone * 1000:8.3f} ms")
    ratio = crowd / alone
    print(f"{'GET of a customer, twenty plugins':44} {crowd * 1000:8.3f} ms   ratio {ratio:.3f}, aim: {RATIO_AIM:g}")
    raise SystemExit(unheard >= UNHEARD_AIM or ratio > RATIO_AIM)


def per_round(get: Callable[[], None]) -> float:
    """Processor seconds for one request: what others on the machine do does not count."""
    start = time.process_time()
    for _ in range(GETS):
        get()
    return (time.process_time() - start) / GETS


if __name__ == "__main__":
    main()
