"""The grammar of workflows: from plain values to a definition, with every mistake named by its path and line.

The tables below are the whole of it: the reader follows them, and documents and the JSON schema are made of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from rapport.errors import Invalid
from rapport.i18n.catalogs import N_, _
from rapport.query.filter import parse
from rapport.workflows.definition import (
    KNOWN_EVENTS,
    RECORD_EVENTS,
    Action,
    Approve,
    Definition,
    Delay,
    Edge,
    Escalation,
    Region,
    Start,
    State,
    Work,
)
from rapport.workflows.source import Mistake, Path, Source, read_yaml

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
STATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
MAX_STATES = 200
MAX_LEVELS = 3
FACT_KINDS = ("text", "integer", "decimal", "date", "flag")


@dataclass(frozen=True, slots=True)
class Key:
    """One word of the grammar: what may follow it, and what it means."""

    name: str
    kind: str
    help: str
    required: bool = False


GRAMMAR: Mapping[str, tuple[Key, ...]] = {
    "workflow": (
        Key("name", "name", N_("What it is called by programs: small letters, digits and _."), required=True),
        Key("title", "text", N_("What people call it.")),
        Key("note", "text", N_("What it is for.")),
        Key("entity", "text", N_("The kind of record it is about, such as customer."), required=True),
        Key("field", "text", N_("A choice field of which this is the life cycle: each state is one of its values.")),
        Key("facts", "facts", N_("What events may bring along, each with its kind. Conditions say fact_NAME.")),
        Key("start", "starts", N_("How instances begin: one way, or a list of them.")),
        Key("initial", "text", N_("The state an instance begins in."), required=True),
        Key("states", "states", N_("The states, each by its name."), required=True),
    ),
    "start": (
        Key("event", "words", N_("created, updated, archived or restored: something happens to a record.")),
        Key("fields", "words", N_("With updated: only when one of these fields changed.")),
        Key("date", "text", N_("A date field: the day it names arrives.")),
        Key("before", "time", N_("With date: so long before the day.")),
        Key("after", "time", N_("With date: so long after the day.")),
        Key("yearly", "flag", N_("With date: every year on that day, as birthdays are.")),
        Key("schedule", "text", N_("A rule such as daily at 09:00: for every record that meets the condition.")),
        Key("segment", "filter", N_("A condition: a record starts when it begins to meet it.")),
        Key("api", "flag", N_("A program may start it.")),
        Key("person", "flag", N_("A person may start it, on the record's page or from the list.")),
        Key("when", "filter", N_("Only for records that meet this condition.")),
    ),
    "state": (
        Key("title", "text", N_("What people call it.")),
        Key("note", "text", N_("What it means, for those who read the diagram.")),
        Key("entry", "actions", N_("What is done on the way in.")),
        Key("exit", "actions", N_("What is done on the way out.")),
        Key("task", "task", N_("A task for one person. Finishing it is the event done.")),
        Key("approve", "approve", N_("A question to several people. Their answer is the event approved or rejected.")),
        Key("on", "transitions", N_("What leads out: the name of an event, and the state it leads to.")),
        Key("after", "delays", N_("What time leads to: 30 days, and the state.")),
        Key("always", "choices", N_("What is taken at once: the first of these whose guard holds.")),
        Key("parallel", "regions", N_("Parts that go on at the same time. All of them being final is completed.")),
        Key("final", "flag", N_("It ends here.")),
    ),
    "transition": (
        Key("target", "text", N_("The state it leads to; left out, the state stays and only the actions are done.")),
        Key("guard", "filter", N_("Only when this condition holds.")),
        Key("actions", "actions", N_("What is done on the way.")),
    ),
    "task": (
        Key("for", "words", N_("Who does it: owner, starter, role:NAME, team:NAME, field:NAME or an e-mail address."), required=True),  # noqa: E501
        Key("title", "text", N_("What is to be done. {name} stands for a field of the record."), required=True),
        Key("note", "text", N_("More about it.")),
        Key("deadline", "time", N_("When it should be done. Then comes the event overdue.")),
        Key("escalate", "escalate", N_("Who gets it when it is not done in time.")),
    ),
    "approve": (
        Key("who", "words", N_("Who is asked: owner, starter, role:NAME, team:NAME, field:NAME or e-mail addresses."), required=True),  # noqa: E501
        Key("need", "need", N_("How many must agree: all, any or a number.")),
        Key("title", "text", N_("The question. {name} stands for a field of the record.")),
        Key("note", "text", N_("What they should know.")),
        Key("deadline", "time", N_("Until when. Then comes the event overdue.")),
        Key("escalate", "escalate", N_("Who is asked too when too few have answered.")),
        Key("delegate", "flag", N_("Whether they may hand the question to somebody else: true unless said.")),
    ),
    "escalate": (
        Key("after", "time", N_("How long nobody has acted."), required=True),
        Key("to", "words", N_("Who is asked then."), required=True),
    ),
    "region": (
        Key("initial", "text", N_("The state this part begins in."), required=True),
        Key("states", "states", N_("Its states."), required=True),
    ),
}  # fmt: skip
KIND_WORDS: Mapping[str, str] = {
    "name": N_("a name"), "text": N_("a text"), "flag": N_("true or false"), "time": N_("a time, such as 30 days"),
    "filter": N_("a condition in the filter language"), "words": N_("a text or a list of texts"),
    "actions": N_("a list of actions"), "starts": N_("ways to start"), "states": N_("states"),
    "transitions": N_("transitions by event"), "delays": N_("transitions by time"),
    "choices": N_("a list of transitions"), "regions": N_("parts, each with initial and states"),
    "facts": N_("kinds by name"), "task": N_("a task"), "approve": N_("a question"),
    "escalate": N_("a time and who is asked then"), "need": N_("all, any or a number"),
}  # fmt: skip


def read_text(text: str) -> tuple[Definition | None, list[Mistake], Any]:
    """A workflow as written: its definition, what is wrong with it, and the plain document to keep.

    The definition is None when a mistake is more than a warning.
    """
    source = read_yaml(text)
    if isinstance(source, Mistake):
        return None, [source], None
    made, mistakes = read_source(source)
    return made, mistakes, source.value


def read_source(source: Source) -> tuple[Definition | None, list[Mistake]]:
    """The same from what YAML said."""
    reader = _Reader(source)
    made = reader.definition()
    if any(not each.warning for each in reader.mistakes):
        made = None
    return made, sorted(reader.mistakes, key=lambda each: each.line)


def read_document(document: Any) -> Definition:
    """A definition from a document that was kept: it was free of mistakes then."""
    made, mistakes = read_source(Source(document))
    if made is None:
        raise Invalid("; ".join(str(each) for each in mistakes))
    return made


def near(name: str, known: Sequence[str]) -> str:
    """What was probably meant, as the end of a sentence."""
    found = difflib.get_close_matches(name[:60], known, 1)
    if found:
        return _("Did you mean '%(name)s'?", name=found[0])
    return _("Known are: %(names)s.", names=", ".join(known) or _("none"))


def dotted(path: Path) -> str:
    """A path as people write it: `states.waiting.entry[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.mistakes: list[Mistake] = []
        self.known: dict[str, Path] = {}
        """Every state's path, and where it is written."""
        self.wanted: list[tuple[str, str, Path]] = []

    def wrong(self, path: Path, message: str, *, warning: bool = False) -> None:
        self.mistakes.append(Mistake(dotted(path), message, self.source.line(path), warning))

    # The whole -------------------------------------------------------------------------------------------------------

    def definition(self) -> Definition | None:
        values = self.mapping(self.source.value, (), "workflow")
        if values is None:
            return None
        name = values.get("name")
        if isinstance(name, str) and not NAME.fullmatch(name):
            self.wrong(("name",), _("'%(name)s' cannot name a workflow. Use small letters, digits and _.", name=name))
        root = self.region(values, (), "", 1)
        starts = tuple(self.starts(values.get("start")))
        if root is None or any(not each.warning for each in self.mistakes):
            return None
        made = Definition(
            name=str(name), title=str(values.get("title") or str(name).replace("_", " ").capitalize()),
            entity=values["entity"], root=root, starts=starts, field=values.get("field") or "",
            facts=self.facts(values.get("facts")), note=values.get("note") or "",
        )  # fmt: skip
        self.reach(made)
        return made

    def mapping(self, value: Any, path: Path, kind: str) -> dict[str, Any] | None:
        """The values of one of the tables above; unknown and missing words are mistakes."""
        if not isinstance(value, Mapping):
            self.wrong(path, _("is written as words with values, one a line."))
            return None
        keys = {key.name: key for key in GRAMMAR[kind]}
        found: dict[str, Any] = {}
        for name, each in value.items():
            if name not in keys:
                self.wrong((*path, name), _("'%(name)s' is not known here.", name=name) + " " + near(name, list(keys)))
            elif each is None and kind != "workflow":
                self.wrong(
                    (*path, name), _("is empty. Take it out, or write %(what)s.", what=_(KIND_WORDS[keys[name].kind]))
                )
            else:
                found[name] = self.plain(each, (*path, name), keys[name].kind)
        for key in keys.values():
            if key.required and key.name not in value:
                self.wrong(path, _("'%(name)s' is missing: %(what)s", name=key.name, what=_(key.help)))
        return found

    def plain(self, value: Any, path: Path, kind: str) -> Any:
        """A value that is read at once; what has parts of its own is read by whoever asked."""
        read: Callable[[Any, Path], Any] | None = {
            "name": self.text, "text": self.text, "flag": self.flag, "time": self.time, "filter": self.filter,
            "words": self.words, "need": self.need, "escalate": self.escalate,
        }.get(kind)  # fmt: skip
        return value if read is None else read(value, path)

    def text(self, value: Any, path: Path) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            self.wrong(path, _("must be a text."))
            return ""
        return str(value)

    def flag(self, value: Any, path: Path) -> bool:
        if not isinstance(value, bool):
            self.wrong(path, _("must be true or false."))
        return value is True

    def time(self, value: Any, path: Path) -> Delay | None:
        found = Delay.parse(value)
        if found is None:
            self.wrong(path, _("'%(text)s' is not a time. Write 30 days.", text=value))
        return found

    def filter(self, value: Any, path: Path) -> str:
        text = self.text(value, path)
        if text:
            try:
                parse(text)
            except Invalid as error:
                self.wrong(path, "; ".join(each.message for each in error.problems))
        return text

    def words(self, value: Any, path: Path) -> tuple[str, ...]:
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(isinstance(each, str) for each in words):
            self.wrong(path, _("must be a text or a list of texts."))
            return ()
        return tuple(words)

    def need(self, value: Any, path: Path) -> Any:
        if value in ("all", "any") or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 50):
            return value
        self.wrong(path, _("must be all, any or a number, such as 2."))
        return "all"

    def escalate(self, value: Any, path: Path) -> Escalation | None:
        values = self.mapping(value, path, "escalate")
        if values is None or not values.get("after") or not values.get("to"):
            return None
        return Escalation(values["after"], values["to"])

    def facts(self, value: Any) -> dict[str, str]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.wrong(("facts",), _("is written as names with kinds, such as score: integer."))
            return {}
        for name, kind in value.items():
            if not NAME.fullmatch(name) or kind not in FACT_KINDS:
                kinds = ", ".join(FACT_KINDS)
                self.wrong(("facts", name), _("must be a name in small letters with one of %(kinds)s.", kinds=kinds))
        return dict(value)

    # Ways to start ---------------------------------------------------------------------------------------------------

    def starts(self, value: Any) -> Iterator[Start]:
        if value is None:
            return
        many = value if isinstance(value, list) else [value]
        for number, each in enumerate(many):
            path: Path = ("start", number) if isinstance(value, list) else ("start",)
            values = self.mapping(each, path, "start")
            if values is not None:
                yield from self.start(values, path)

    def start(self, values: Mapping[str, Any], path: Path) -> Iterator[Start]:
        when, kinds = values.get("when", ""), []
        if events := values.get("event"):
            for unknown in [each for each in events if each not in RECORD_EVENTS]:
                self.wrong(
                    (*path, "event"),
                    _("'%(name)s' does not happen to records.", name=unknown) + " " + near(unknown, RECORD_EVENTS),
                )
            kinds.append(Start("event", events=events, fields=values.get("fields", ()), when=when))
        if date := values.get("date"):
            if "before" in values and "after" in values:
                self.wrong(path, _("is either before or after the day, not both."))
            offset = values.get("before") or values.get("after")
            if offset is not None and offset.unit in {"minutes", "hours"}:
                self.wrong(path, _("counts whole days. Write 14 days."))
            kinds.append(Start("date", date=date, offset=offset, before="before" in values,
                               yearly=values.get("yearly", False), when=when))  # fmt: skip
        if rule := values.get("schedule"):
            kinds.append(Start("schedule", rule=rule, when=when))
        if segment := values.get("segment"):
            kinds.append(Start("segment", segment=segment, when=when))
        kinds += [Start("api", when=when)] if values.get("api") else []
        kinds += [Start("person", when=when)] if values.get("person") else []
        if not kinds:
            names = "event, date, schedule, segment, api, person"
            self.wrong(path, _("does not say what starts it. Write one of %(names)s.", names=names))
        belongs = {"fields": "event", "before": "date", "after": "date", "yearly": "date"}
        for name, to in belongs.items():
            if name in values and to not in values:
                self.wrong((*path, name), _("has a meaning only with '%(name)s'.", name=to))
        yield from kinds

    # States ----------------------------------------------------------------------------------------------------------

    def region(self, values: Mapping[str, Any], path: Path, at: str, level: int) -> Region | None:
        states, initial = values.get("states"), values.get("initial")
        where: Path = (*path, "states")
        if not isinstance(states, Mapping) or not states:
            if "states" in values:
                self.wrong(where, _("is written as names of states, each with what it holds below it."))
            return None
        inside = f"{at}." if at else ""
        for name in states:
            if not STATE.fullmatch(name):
                self.wrong(
                    (*where, name), _("'%(name)s' cannot name a state. Use letters, digits, _ and -.", name=name)
                )
            self.known[f"{inside}{name}"] = (*where, name)
        if len(self.known) > MAX_STATES:
            self.wrong(where, _("There are too many states; at most %(most)s are read.", most=MAX_STATES))
            return None
        if isinstance(initial, str) and initial not in states:
            self.wrong(
                (*path, "initial"), _("there is no state '%(name)s'.", name=initial) + " " + near(initial, list(states))
            )
        made = [self.state(name, each or {}, (*where, name), at, level) for name, each in states.items()]
        found = tuple(each for each in made if each is not None)
        return Region(at, f"{inside}{initial}", found) if len(found) == len(made) else None

    def state(self, name: str, value: Any, path: Path, at: str, level: int) -> State | None:
        values = self.mapping(value, path, "state")
        if values is None:
            return None
        here = f"{at}.{name}" if at else name
        made = State(
            path=here, title=values.get("title") or name.replace("_", " ").replace("-", " ").capitalize(),
            note=values.get("note") or "",
            entry=self.actions(values.get("entry"), (*path, "entry")),
            exit=self.actions(values.get("exit"), (*path, "exit")),
            task=self.task(values.get("task"), (*path, "task")),
            approve=self.approve(values.get("approve"), (*path, "approve")),
            on=tuple(self.transitions(values.get("on"), (*path, "on"), at)),
            after=tuple(self.delays(values.get("after"), (*path, "after"), at)),
            always=tuple(self.several("", values.get("always"), (*path, "always"), at)),
            regions=tuple(self.regions(values.get("parallel"), (*path, "parallel"), here, level)),
            final=values.get("final", False),
        )  # fmt: skip
        self.sense(made, path)
        return made

    def sense(self, state: State, path: Path) -> None:
        """What cannot be meant so."""
        if state.final and (state.edges or state.task or state.approve or state.regions):
            self.wrong(path, _("is final, so nothing leads out of it and nobody has anything to do in it."))
        if state.task and state.approve:
            self.wrong(path, _("has both a task and a question. Make two states of it, or two parallel parts."))
        events = {edge.event for edge in state.on}
        own = [(state.approve, ("approved", "rejected")), (state.task, ("done",))]
        for work, needed in own:
            for event in needed:
                if work is not None and event not in events and "." not in state.path:
                    self.wrong(
                        path,
                        _("nothing is said about the event '%(name)s'. Write it under on.", name=event),
                        warning=True,
                    )
        deadline = (state.task and state.task.deadline) or (state.approve and state.approve.deadline)
        if "overdue" in events and not deadline:
            self.wrong((*path, "on", "overdue"), _("never comes without a deadline."), warning=True)
        if "completed" in events and not state.regions:
            self.wrong((*path, "on", "completed"), _("never comes without parallel parts."), warning=True)

    def transitions(self, value: Any, path: Path, at: str) -> Iterator[Edge]:
        if value is None:
            return
        if not isinstance(value, Mapping):
            self.wrong(path, _("is written as events with the state each leads to."))
            return
        for event, each in value.items():
            if not NAME.fullmatch(event):
                self.wrong(
                    (*path, event), _("'%(name)s' cannot name an event. Use small letters, digits and _.", name=event)
                )
            elif event not in KNOWN_EVENTS and (meant := difflib.get_close_matches(event, KNOWN_EVENTS, 1, 0.85)):
                self.wrong(
                    (*path, event),
                    _(
                        "Rapport knows no such event; a person or a program must send it. Did you mean '%(name)s'?",
                        name=meant[0],
                    ),
                    warning=True,
                )
            yield from self.several(event, each, (*path, event), at)

    def several(self, event: str, value: Any, path: Path, at: str) -> Iterator[Edge]:
        """One transition, or a list of which the first whose guard holds is taken."""
        if value is None:
            return
        many = value if isinstance(value, list) else [value]
        for number, each in enumerate(many):
            place: Path = (*path, number) if isinstance(value, list) else path
            edge = self.edge(event, each, place, at)
            if edge is not None:
                yield edge
                if not edge.guard and number < len(many) - 1:
                    self.wrong(
                        (*path, number + 1), _("is never reached: the one before it has no guard."), warning=True
                    )

    def delays(self, value: Any, path: Path, at: str) -> Iterator[Edge]:
        if value is None:
            return
        if not isinstance(value, Mapping):
            if isinstance(value, str) and Delay.parse(value) is None:
                self.wrong(path, _("'%(text)s' is not a time. Write 30 days.", text=value))
            else:
                self.wrong(path, _("is written as times with the state each leads to: 30 days: ended."))
            return
        for number, (text, each) in enumerate(value.items()):
            delay = Delay.parse(text)
            if delay is None:
                self.wrong((*path, text), _("'%(text)s' is not a time. Write 30 days.", text=text))
                continue
            if delay.number == 0:
                self.wrong((*path, text), _("must be at least a minute. What is done at once stands under always."))
            edge = self.edge(f"after.{number}", each, (*path, text), at, delay)
            if edge is not None:
                yield edge

    def edge(self, event: str, value: Any, path: Path, at: str, delay: Delay | None = None) -> Edge | None:
        if isinstance(value, str | int) and not isinstance(value, bool):
            self.wanted.append((str(value), at, path))
            return Edge(event, self.resolve(str(value), at), delay=delay)
        values = self.mapping(value, path, "transition")
        if values is None:
            return None
        target = values.get("target")
        if target:
            self.wanted.append((target, at, (*path, "target")))
        elif not values.get("actions"):
            self.wrong(path, _("leads nowhere and does nothing. Write a target or actions."))
        elif event == "":
            self.wrong(path, _("would be taken again and again. Write a target."))
        return Edge(event, self.resolve(target, at) if target else None, values.get("guard", ""),
                    self.actions(values.get("actions"), (*path, "actions")), delay)  # fmt: skip

    def resolve(self, name: str, at: str) -> str:
        """The path of a state that is called by its name: beside the caller, else beside what the caller is in."""
        while True:
            path = f"{at}.{name}" if at else name
            if path in self.known or not at:
                return path
            at = ".".join(at.split(".")[:-2])

    def actions(self, value: Any, path: Path) -> tuple[Action, ...]:
        if value is None:
            return ()
        many, made = (value if isinstance(value, list) else [value]), []
        for number, each in enumerate(many):
            place: Path = (*path, number) if isinstance(value, list) else path
            if isinstance(each, str):
                made.append(Action(each, {}))
            elif isinstance(each, Mapping) and len(each) == 1:
                (name, arguments), *_rest = each.items()
                made.append(Action(name, dict(arguments) if isinstance(arguments, Mapping) else {"": arguments}))
            else:
                self.wrong(place, _("is one action with its arguments below it, such as set: {status: open}."))
        return tuple(made)

    def task(self, value: Any, path: Path) -> Work | None:
        values = self.mapping(value, path, "task") if value is not None else None
        if values is None or "for" not in values or "title" not in values:
            return None
        return Work(values["for"], values["title"], values.get("note", ""), values.get("deadline"),
                    values.get("escalate"))  # fmt: skip

    def approve(self, value: Any, path: Path) -> Approve | None:
        values = self.mapping(value, path, "approve") if value is not None else None
        if values is None or "who" not in values:
            return None
        return Approve(values["who"], cast("Literal['all', 'any'] | int", values.get("need", "all")),
                       values.get("title", ""), values.get("note", ""), values.get("deadline"),
                       values.get("escalate"), values.get("delegate", True))  # fmt: skip

    def regions(self, value: Any, path: Path, at: str, level: int) -> Iterator[Region]:
        if value is None:
            return
        if not isinstance(value, Mapping) or len(value) < 2:
            self.wrong(path, _("holds at least two parts, each with its initial and states."))
            return
        if level >= MAX_LEVELS:
            self.wrong(path, _("is nested too deeply; at most %(most)s levels are read.", most=MAX_LEVELS))
            return
        for name, each in value.items():
            if not STATE.fullmatch(name):
                self.wrong((*path, name), _("'%(name)s' cannot name a part. Use letters, digits, _ and -.", name=name))
            values = self.mapping(each, (*path, name), "region")
            found = self.region(values, (*path, name), f"{at}.{name}", level + 1) if values is not None else None
            if found is not None:
                yield found

    # The graph -------------------------------------------------------------------------------------------------------

    def reach(self, made: Definition) -> None:
        """Targets that do not exist, states that nothing leads to, and such as nothing leads out of."""
        for name, region, path in self.wanted:
            if self.resolve(name, region) not in made.states:
                known = [each.rpartition(".")[2] for each in made.states if each.rpartition(".")[0] == region]
                self.wrong(path, _("there is no state '%(name)s'.", name=name) + " " + near(name, known))
        if any(not each.warning for each in self.mistakes):
            return
        seen, todo = set[str](), [made.root.initial]
        while todo:
            state = made.states[todo.pop()]
            if state.path in seen:
                continue
            seen.add(state.path)
            todo += [edge.target for edge in state.edges if edge.target]
            todo += [region.initial for region in state.regions]
            todo += [state.parent] if state.parent else []
        for at, state in made.states.items():
            if at not in seen and not made.field:
                self.wrong(self.known[at], _("nothing leads to this state."), warning=True)
            leads = any(edge.target for each in made.chain(at) for edge in each.edges)
            if not (leads or state.final or made.field):
                self.wrong(
                    self.known[at],
                    _("nothing leads out of this state. Write final: true if it ends here."),
                    warning=True,
                )


# For documents and editors -------------------------------------------------------------------------------------------


def json_schema() -> dict[str, Any]:
    """The grammar as JSON Schema 2020-12, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rapport workflow",
        **_schema_of("workflow"),
        "$defs": {name: _schema_of(name) for name in GRAMMAR if name != "workflow"},
    }


def _schema_of(kind: str) -> dict[str, Any]:
    keys = GRAMMAR[kind]
    return {
        "type": "object",
        "properties": {key.name: {**_KIND_SCHEMAS[key.kind], "description": key.help} for key in keys},
        "required": [key.name for key in keys if key.required],
        "additionalProperties": False,
    }


def _def(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


_TEXT: dict[str, Any] = {"type": "string"}
_EDGE: dict[str, Any] = {"anyOf": [_TEXT, _def("transition"), {"type": "array", "items": _def("transition")}]}
_KIND_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "name": {"type": "string", "pattern": f"^{NAME.pattern}$"},
    "text": {"type": ["string", "integer"]},
    "flag": {"type": "boolean"},
    "time": {"type": "string", "pattern": r"^\d{1,5} *(minute|hour|day|week|month|year)s?$"},
    "filter": _TEXT,
    "words": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
    "need": {"anyOf": [{"enum": ["all", "any"]}, {"type": "integer", "minimum": 1}]},
    "actions": {"type": ["array", "object", "string"]},
    "starts": {"anyOf": [_def("start"), {"type": "array", "items": _def("start")}]},
    "states": {"type": "object", "additionalProperties": {"anyOf": [_def("state"), {"type": "null"}]}},
    "transitions": {"type": "object", "additionalProperties": _EDGE},
    "delays": {"type": "object", "additionalProperties": {"anyOf": [_TEXT, _def("transition")]}},
    "choices": {"anyOf": [_TEXT, _def("transition"), {"type": "array", "items": _def("transition")}]},
    "regions": {"type": "object", "additionalProperties": _def("region"), "minProperties": 2},
    "facts": {"type": "object", "additionalProperties": {"enum": list(FACT_KINDS)}},
    "task": _def("task"),
    "approve": _def("approve"),
    "escalate": _def("escalate"),
}


def grammar_tables() -> str:
    """The grammar as tables of Markdown, for docs/workflows.md."""
    parts = []
    for kind, keys in GRAMMAR.items():
        rows = [
            f"| `{key.name}`{' (needed)' if key.required else ''} | {KIND_WORDS[key.kind]} | {key.help} |"
            for key in keys
        ]
        parts.append(f"**{kind.capitalize()}**\n\n| word | value | meaning |\n|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"
