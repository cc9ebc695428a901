"""A workflow is read with every mistake named, where it stands; and the engine moves as statecharts do."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from rapport.workflows import engine
from rapport.workflows.engine import Event
from rapport.workflows.reading import GRAMMAR, json_schema, read_text

APPROVAL = """\
name: discount
title: Approve a discount
entity: customer
start: {event: updated, when: 'tags has "discount"'}
initial: asking
states:
  asking:
    approve: {who: ["role:manager", owner], need: 2, deadline: 3 days}
    on:
      approved: checking
      rejected: refused
      overdue: refused
  checking:
    parallel:
      legal: {initial: open, states: {open: {on: {signed: done}}, done: {final: true}}}
      money: {initial: open, states: {open: {after: {2 hours: done}}, done: {final: true}}}
    on:
      completed: granted
      stopped: refused
  granted: {final: true}
  refused: {final: true}
"""


def mistakes_of(text: str) -> list[str]:
    return [str(each) for each in read_text(text)[1]]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("3 days", "3 dys", "line 8, states.asking.approve.deadline: '3 dys' is not a time. Write 30 days."),
        ("2 hours:", "2 ours:", "line 16, states.checking.parallel.money.states.open.after.2 ours: '2 ours' is not a time. Write 30 days."),  # noqa: E501
        ("overdue: refused", "overdue: refuse", "line 12, states.asking.on.overdue: there is no state 'refuse'. Did you mean 'refused'?"),  # noqa: E501
        ("initial: asking", "initial: aksing", "line 5, initial: there is no state 'aksing'. Did you mean 'asking'?"),
        ("entity: customer\n", "", "line 1, 'entity' is missing: The kind of record it is about, such as customer."),
        ("approve: {who", "approve: {whom", "line 8, states.asking.approve.whom: 'whom' is not known here. Did you mean 'who'?"),  # noqa: E501
        ("tags has", "tags hat", "line 4, start.when: at character 6: 'hat' stands where an operator"),
        ("final: true}\n  refused", "final: yes}\n  refused", "line 20, states.granted.final: must be true or false."),
        ("event: updated", "event: changed", "line 4, start.event: 'changed' does not happen to records."),
        ("need: 2", "need: some", "line 8, states.asking.approve.need: must be all, any or a number, such as 2."),
        ("granted: {final: true}", "granted: {final: true, on: {updated: refused}}", "line 20, states.granted: is final, so nothing leads out of it"),  # noqa: E501
        ("title: Approve", "title: &t Approve", "line 2, anchors and aliases (& and *) are not read. Write it out."),
        ("title: Approve", "title: !!python/name:os.system Approve", "line 2, tags (!) are not read."),
        ("title: Approve a discount", "name: again", "line 2, “name” stands there twice."),
        ("states:\n", "states:\n   a: [\n", "cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_the_way_out(before: str, after: str, said: str):
    assert before in APPROVAL
    definition, mistakes, _document = read_text(APPROVAL.replace(before, after, 1))
    assert definition is None
    assert any(said in str(each) for each in mistakes), [str(each) for each in mistakes]


def test_states_without_a_way_in_or_out_are_warned_of_and_run_all_the_same():
    text = APPROVAL + "  lost: {}\n"
    assert read_text(text)[0] is not None
    assert mistakes_of(text) == [
        "line 22, states.lost: nothing leads to this state.",
        "line 22, states.lost: nothing leads out of this state. Write final: true if it ends here.",
    ]


@pytest.mark.parametrize("text", ["{" * 5000, "[" * 5000, "a: " * 3000, "- " * 50_000, "x" * 200_000, "\x00", "", "7"])
def test_what_is_no_workflow_is_refused_in_words(text: str):
    definition, mistakes, _document = read_text(text)
    assert definition is None
    assert mistakes


def test_an_on_is_a_word_though_yaml_calls_it_true():
    assert yaml.safe_load("on: 1") == {True: 1}  # the trap
    definition = read_text(APPROVAL)[0]
    assert definition is not None
    assert definition.events() == ["approved", "completed", "overdue", "rejected", "signed", "stopped"]


def test_the_json_schema_agrees_with_the_reader():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    document = read_text(APPROVAL)[2]
    jsonschema.validate(json.loads(json.dumps(document)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "sates": {}}, schema)
    assert set(schema["$defs"]) == set(GRAMMAR) - {"workflow"}


# The engine ----------------------------------------------------------------------------------------------------------


def walk(text: str, *events: Event, holds: engine.Holds = lambda condition: True) -> list[tuple[str, ...]]:
    definition, mistakes, _document = read_text(text)
    assert definition is not None, [str(each) for each in mistakes]
    micro: engine.Micro | None = engine.begin(definition)
    been = []
    for event in (None, *events):
        if event is not None:
            micro = engine.take(definition, been[-1], event, holds)
        while micro is not None:
            been.append(micro.active)
            micro = engine.follow_up(definition, micro.active, holds)
    return been


def test_parallel_parts_go_their_own_ways_and_meet_again():
    been = walk(APPROVAL, Event("approved", "asking"), Event("signed"), Event("after.0", "checking.money.open"))
    assert been == [
        ("asking",),
        ("checking", "checking.legal.open", "checking.money.open"),
        ("checking", "checking.legal.done", "checking.money.open"),
        ("checking", "checking.legal.done", "checking.money.done"),
        ("granted",),
    ]


def test_what_leads_out_of_a_state_ends_all_its_parts():
    been = walk(APPROVAL, Event("approved", "asking"), Event("stopped"))
    assert been[-1] == ("refused",)


def test_an_event_nobody_waits_for_changes_nothing():
    definition = read_text(APPROVAL)[0]
    assert definition is not None
    assert engine.take(definition, ("asking",), Event("signed"), lambda condition: True) is None
    assert engine.take(definition, ("granted",), Event("approved", "asking"), lambda condition: True) is None


def test_the_first_transition_whose_guard_holds_is_taken():
    text = """
name: branches
entity: customer
initial: choosing
states:
  choosing:
    always:
      - {guard: 'name = "a"', target: left}
      - {guard: 'name = "b"', target: right}
      - middle
  left: {final: true}
  right: {final: true}
  middle: {final: true}
"""
    assert walk(text, holds=lambda condition: '"b"' in condition)[-1] == ("right",)
    assert walk(text, holds=lambda condition: False)[-1] == ("middle",)


def test_actions_run_on_the_way_out_on_the_way_and_on_the_way_in():
    text = """
name: order
entity: customer
initial: a
states:
  a:
    exit: [{set: {name: out}}]
    on: {go: {target: b, actions: [{set: {name: way}}]}}
  b: {entry: [{set: {name: in}}], final: true}
"""
    definition = read_text(text)[0]
    assert definition is not None
    micro = engine.take(definition, ("a",), Event("go"), lambda condition: True)
    assert micro is not None
    told = [effect.action.arguments["name"] if effect.action else effect.kind for effect in micro.effects]
    assert told == ["out", "leave", "way", "in", "enter"]
