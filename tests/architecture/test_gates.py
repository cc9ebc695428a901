"""What nobody may write, looked for in every module, template and style sheet there is."""

from __future__ import annotations

import pytest

from rapport.testing.gates import GATES, PAGE_GATES, Gate, PageGate
from rapport.testing.sources import Source, source
from tests.architecture.gates import ALLOWED, is_allowed
from tests.architecture.subjects import ROOT, sources, templates
from tests.security.test_input_inside import FEATURES, OTHER_WAYS
from tests.torture import tally


def ours() -> list[Source]:
    return [module for module in sources() if module.package in {"rapport", "rapport_cli"}]


def _named(gate: Gate | PageGate) -> str:
    return gate.name


@pytest.mark.parametrize("gate", GATES, ids=_named)
def test_no_module_does_it(gate: Gate):
    """Of core and the command line; plugins promise the same in their contract, with exemptions of their own."""
    read = ours()
    faults = [fault for module in read for fault in gate.faults(module)]
    assert [fault.said for fault in faults if not is_allowed(gate.name, fault.place)] == []
    excepted = len({fault.place for fault in faults})
    tally("B3", "gates by modules", tried=len(read), excepted_with_a_reason=excepted, found=0)


@pytest.mark.parametrize("gate", PAGE_GATES, ids=_named)
def test_no_template_or_style_sheet_does_it(gate: PageGate):
    assert [fault.said for path, text in templates() for fault in gate.faults(path, text)] == []
    tally("B3", "gates by templates and style sheets", tried=len(templates()), found=0)


@pytest.mark.parametrize("gate", GATES, ids=_named)
def test_the_gate_stops_the_bad_and_lets_the_good_pass(gate: Gate):
    bad = source("bad.py", "bad", gate.bad)
    assert list(gate.faults(bad))
    assert list(gate.faults(source("good.py", "good", gate.good))) == []
    statements = [node.lineno for node in bad.tree.body if not gate.bad.startswith("try")]
    assert {line for line, _ in gate.check(bad)} >= set(statements), "every line of the bad example is found"
    tally("B3", "gates by modules", control=len(statements) or 1)


@pytest.mark.parametrize("gate", PAGE_GATES, ids=_named)
def test_the_page_gate_stops_the_bad_and_lets_the_good_pass(gate: PageGate):
    assert list(gate.faults("bad.html", gate.bad))
    assert list(gate.faults("good.html", gate.good)) == []
    tally("B3", "gates by templates and style sheets", control=1)


def test_every_exception_to_a_rule_is_still_needed_and_has_a_reason():
    assert set(ALLOWED) <= {gate.name for gate in GATES}
    for gate in GATES:
        allowed = ALLOWED.get(gate.name, {})
        places = {fault.place for module in ours() for fault in gate.faults(module)}
        assert set(allowed) - places - {place.partition("::")[0] for place in places} == set()
        assert all(len(reason) > 10 for reason in allowed.values())
        assert all((ROOT / place.split("::")[0]).exists() for place in allowed)


def calls_out(module: Source) -> bool:
    """Whether a module can have the one client call somebody."""
    return any(
        (one.module == "rapport.outbound" and one.name in {"", "request", "connect", "*"})
        or (one.module == "rapport" and one.name == "outbound")
        for one in module.imports
    )


def test_whatever_calls_another_server_is_tried_with_addresses_that_lead_inside():
    (network,) = (gate for gate in GATES if gate.name == "one gate out")
    alone = {module.path for module in sources() if list(network.check(module))}
    assert {module.path for module in sources() if calls_out(module)} == set(FEATURES)
    assert alone - {"core/rapport/outbound.py"} == set(OTHER_WAYS)
    fresh = ("from rapport.outbound import request", "from rapport import outbound", "import rapport.outbound",
             "from rapport.outbound import connect as c")  # fmt: skip
    caught = sum(calls_out(source("new.py", "new", text)) for text in fresh)
    assert caught == len(fresh)
    assert not calls_out(source("new.py", "new", "from rapport.outbound import parse_url"))
    tally("B9", "modules that were read for ways out of the machine", tried=len(sources()), unknown=0, control=caught)
