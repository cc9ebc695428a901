"""What nobody may write, looked for in every module, template and style sheet there is."""

from __future__ import annotations

import pytest

from tests.architecture.gates import GATES, PAGE_GATES, Gate, PageGate, function_at
from tests.architecture.subjects import ROOT, source, sources, templates


def _named(gate: Gate | PageGate) -> str:
    return gate.name


@pytest.mark.parametrize("gate", GATES, ids=_named)
def test_no_module_does_it(gate: Gate):
    assert [problem for module in sources() for problem in gate.problems(module)] == []


@pytest.mark.parametrize("gate", PAGE_GATES, ids=_named)
def test_no_template_or_style_sheet_does_it(gate: PageGate):
    assert [problem for path, text in templates() for problem in gate.problems(path, text)] == []


@pytest.mark.parametrize("gate", GATES, ids=_named)
def test_the_gate_stops_the_bad_and_lets_the_good_pass(gate: Gate):
    bad = source("bad.py", "bad", gate.bad)
    assert {int(problem.split(":")[1]) for problem in gate.problems(bad)}
    assert gate.problems(source("good.py", "good", gate.good)) == []
    statements = [node.lineno for node in bad.tree.body if not gate.bad.startswith("try")]
    assert {line for line, _ in gate.check(bad)} >= set(statements), "every line of the bad example is found"


@pytest.mark.parametrize("gate", PAGE_GATES, ids=_named)
def test_the_page_gate_stops_the_bad_and_lets_the_good_pass(gate: PageGate):
    assert gate.problems("bad.html", gate.bad)
    assert gate.problems("good.html", gate.good) == []


@pytest.mark.parametrize("gate", GATES, ids=_named)
def test_every_exception_to_a_rule_is_still_needed_and_has_a_reason(gate: Gate):
    used = {place for module in sources() for line, _ in gate.check(module)
            for place in (module.path, f"{module.path}::{function_at(module, line)}")}  # fmt: skip
    assert set(gate.allowed) - used == set()
    assert all(len(reason) > 10 for reason in gate.allowed.values())
    assert all((ROOT / place.split("::")[0]).exists() for place in gate.allowed)
