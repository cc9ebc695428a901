"""Workflows drawn: states in layers from the first one on, transitions between them, as plain SVG of our own.

The layout is the classic one: a state's layer is its distance from the start, and within a layer states stand below
what leads to them. It runs from top to bottom, so that it reads the same in both directions of writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rapport.i18n.catalogs import _
from rapport.workflows.definition import Definition, Edge, Region, State

WIDTH, HEIGHT = 176.0, 52.0
GAP_X, GAP_Y = 44.0, 62.0
HEAD, PAD, LANE = 34.0, 20.0, 24.0
LETTERS = 23
"""As many letters of a title as fit into a box."""


@dataclass(slots=True)
class Box:
    """A state as it is drawn."""

    path: str
    title: str
    x: float = 0
    y: float = 0
    width: float = WIDTH
    height: float = HEIGHT
    kind: str = "plain"
    """plain, task, approve, final or parallel; the style sheet knows them."""
    count: int = 0
    initial: bool = False
    inside: list[Drawing] = field(default_factory=list)
    names: list[tuple[str, float, float]] = field(default_factory=list)
    """The names of parallel parts, and where they stand."""
    note: str = ""


@dataclass(slots=True)
class Line:
    """A transition as it is drawn."""

    path: str
    label: str
    x: float
    y: float
    full: str
    guarded: bool = False


@dataclass(slots=True)
class Drawing:
    """A region, ready for the template."""

    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0

    def told(self) -> list[str]:
        """The same in sentences, for those who do not see it."""
        return [line.full for line in self.lines] + [
            each for box in self.boxes for part in box.inside for each in part.told()
        ]


def draw(definition: Definition, counts: Mapping[str, int] | None = None) -> Drawing:
    """A workflow as a picture; `counts` say how many are in each state."""
    return _draw(definition.root, definition, counts or {})


def _draw(region: Region, definition: Definition, counts: Mapping[str, int]) -> Drawing:
    states = {state.path: state for state in region.states}
    boxes = {path: _box(state, definition, counts) for path, state in states.items()}
    boxes[region.initial].initial = True
    layers = _layers(region, states)
    rows = [[boxes[path] for path in row] for row in _order(layers, states)]
    width = max(sum(box.width for box in row) + GAP_X * (len(row) - 1) for row in rows)
    y = PAD + 14
    for row in rows:
        x = PAD + GAP_X / 2 + (width - sum(box.width for box in row) - GAP_X * (len(row) - 1)) / 2
        tallest = max(box.height for box in row)
        for box in row:
            box.x, box.y = round(x, 1), round(y + (tallest - box.height) / 2, 1)
            x += box.width + GAP_X
        y += tallest + GAP_Y
    drawing = Drawing(list(boxes.values()), [], width=width + 2 * PAD + GAP_X, height=y - GAP_Y + PAD + 10)
    _lines(drawing, boxes, states, definition)
    return drawing


def _box(state: State, definition: Definition, counts: Mapping[str, int]) -> Box:
    title = _(state.title)
    box = Box(
        state.path, title if len(title) <= LETTERS else f"{title[: LETTERS - 1]}…", count=counts.get(state.path, 0)
    )
    box.kind = "final" if state.final else "approve" if state.approve else "task" if state.task else "plain"
    box.note = state.note
    if state.regions:
        box.kind = "parallel"
        x, tallest = PAD / 2, 0.0
        for region in state.regions:
            part = _draw(region, definition, counts)
            part.x, part.y = x, HEAD + 14
            box.names.append(
                (_(region.path.rpartition(".")[2].replace("_", " ").capitalize()), x + part.width / 2, HEAD + 12)
            )
            box.inside.append(part)
            x += part.width
            tallest = max(tallest, part.height)
        box.width, box.height = x + PAD / 2, HEAD + 14 + tallest
    return box


def _targets(state: State, states: Mapping[str, State]) -> list[str]:
    """Where a state leads to within its region."""
    return [edge.target for edge in state.edges if edge.target in states and edge.target is not None]


def _layers(region: Region, states: Mapping[str, State]) -> dict[str, int]:
    """How far each state is from the first one; what nothing leads to stands below everything."""
    layers, todo = {region.initial: 0}, [region.initial]
    while todo:
        path = todo.pop(0)
        for target in _targets(states[path], states):
            if target not in layers:
                layers[target] = layers[path] + 1
                todo.append(target)
    lost = max(layers.values()) + 1
    for path, state in states.items():  # an end stands below everything that leads to it
        if state.final and path in layers:
            before = [
                layers[other] for other, each in states.items() if other in layers and path in _targets(each, states)
            ]
            layers[path] = max(before, default=layers[path] - 1) + 1
    return {path: layers.get(path, lost) for path in states}


def _order(layers: Mapping[str, int], states: Mapping[str, State]) -> list[list[str]]:
    """The states of each layer, each below the middle of what leads to it."""
    rows: dict[int, list[str]] = {}
    for path in states:
        rows.setdefault(layers[path], []).append(path)
    place: dict[str, float] = {}
    for number in sorted(rows):
        row = rows[number]
        above = {
            path: [place[other] for other in states if other in place and path in _targets(states[other], states)]
            for path in row
        }
        known = {path: sum(found) / len(found) if found else len(row) / 2 for path, found in above.items()}
        row.sort(key=lambda path: known[path])
        for position, path in enumerate(row):
            place[path] = position - (len(row) - 1) / 2
    return [rows[number] for number in sorted(rows)]


def _lines(drawing: Drawing, boxes: Mapping[str, Box], states: Mapping[str, State], definition: Definition) -> None:
    """One line for each pair of states; what several transitions between them say stands on it together."""
    pairs: dict[tuple[str, str], list[Edge]] = {}
    for state in states.values():
        for edge in state.edges:
            if edge.target is not None:
                pairs.setdefault((state.path, edge.target), []).append(edge)
    leaving: dict[str, int] = {}
    for source, _target in pairs:
        leaving[source] = leaving.get(source, 0) + 1
    nth: dict[str, int] = {}
    lane = max(box.x + box.width for box in boxes.values()) + PAD - LANE
    places = {target: boxes[target].x if target in boxes else 0.0 for _source, target in pairs}
    for (source, target), edges in sorted(pairs.items(), key=lambda pair: places[pair[0][1]]):  # so that few cross
        nth[source] = nth.get(source, 0) + 1
        said = ", ".join(dict.fromkeys(map(event_title, edges)))
        full = _("%(source)s → %(target)s: %(event)s", source=_(states[source].title),
                 target=_(definition.states[target].title), event=said)  # fmt: skip
        guards = [edge.guard for edge in edges if edge.guard]
        full = f"{full} ({' / '.join(guards)})" if guards else full
        label = said if len(said) <= LETTERS + 5 else f"{said[: LETTERS + 4]}…"
        if target in boxes:
            share = nth[source] / (leaving[source] + 1)
            if _is_far(boxes[source], boxes[target]):
                lane += LANE
                path, x, y = _around(boxes[source], boxes[target], lane)
                drawing.width = max(drawing.width, lane + len(label) * 3.4 + PAD)
            else:
                path, x, y = _curve(boxes[source], boxes[target], share)
            drawing.lines.append(Line(path, label, round(x, 1), round(y, 1), full, bool(guards)))
        else:  # out of this region: said, not drawn across borders
            box = boxes[source]
            x, y = box.x + box.width / 2, box.y + box.height
            drawing.lines.append(Line(f"M{x:.1f},{y:.1f} v16", f"{label} ↗", x, y + 28, full, bool(guards)))


def _is_far(source: Box, target: Box) -> bool:
    """Whether something may stand between: another than the next layer below, and not beside it."""
    below = target.y - source.y - source.height
    beside = abs(source.y + source.height / 2 - target.y - target.height / 2) < 8
    return source is not target and not beside and not 0 < below < GAP_Y * 1.6


def _around(source: Box, target: Box, lane: float) -> tuple[str, float, float]:
    """A line that leaves at the side, and goes along a lane of its own beside all boxes."""
    x1, y1 = source.x + source.width, source.y + source.height / 2
    x2, y2 = target.x + target.width + 2, target.y + target.height / 2
    turn = 16 if y2 > y1 else -16
    path = (
        f"M{x1:.1f},{y1:.1f} H{lane - 16:.1f} Q{lane:.1f},{y1:.1f} {lane:.1f},{y1 + turn:.1f} "
        f"V{y2 - turn:.1f} Q{lane:.1f},{y2:.1f} {lane - 16:.1f},{y2:.1f} H{x2:.1f}"
    )
    return path, lane, y1 + 2.4 * turn


def _curve(source: Box, target: Box, share: float) -> tuple[str, float, float]:
    """A line from a box to the next one: down, beside, or a loop to itself."""
    if source is target:
        x, y = source.x + source.width, source.y + source.height / 2
        return f"M{x:.1f},{y - 10:.1f} c34,-16 34,36 0,20", x + 26, y - 16
    if target.y <= source.y + source.height:  # beside each other
        onward = target.x > source.x
        x1, x2 = source.x + (source.width if onward else 0), target.x + (-2 if onward else target.width + 2)
        y, rise = source.y + source.height / 2, 8 if onward else 20
        return f"M{x1:.1f},{y:.1f} Q{(x1 + x2) / 2:.1f},{y - rise:.1f} {x2:.1f},{y:.1f}", (x1 + x2) / 2, y - rise
    x1, y1 = source.x + source.width * share, source.y + source.height
    x2, y2 = target.x + target.width / 2 + (share - 0.5) * 40, target.y
    bend = min(40.0, (y2 - y1) / 2)
    middle = 0.36 + 0.2 * share
    # Where the curve is at that part of its way, so that its label stands on it.
    return (f"M{x1:.1f},{y1:.1f} C{x1:.1f},{y1 + bend:.1f} {x2:.1f},{y2 - bend:.1f} {x2:.1f},{y2 - 2:.1f}",
            _bezier(x1, x1, x2, x2, middle), _bezier(y1, y1 + bend, y2 - bend, y2, middle))  # fmt: skip


def _bezier(a: float, b: float, c: float, d: float, t: float) -> float:
    return (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d


def event_title(edge: Edge) -> str:
    """What leads along a transition, as people read it."""
    if edge.delay is not None:
        return _("after %(time)s", time=str(edge.delay))
    return event_name(edge.event)


def event_name(name: str) -> str:
    """An event as people read it."""
    known: Mapping[str, str] = {
        "": _("at once"), "start": _("begins"), "created": _("created"), "updated": _("changed"),
        "archived": _("archived"), "restored": _("restored"), "approved": _("approved"), "rejected": _("rejected"),
        "overdue": _("deadline passed"), "done": _("done"), "completed": _("all parts ended"),
        "answered": _("customer answered"), "sent": _("sent"), "delivered": _("delivered"), "opened": _("opened"),
        "bounced": _("bounced"), "failed": _("failed"), "refused": _("refused by the gate"),
        "resume": _("goes on"), "escalate": _("escalated"), "changed": _("changed by hand"), "move": _("moved"),
    }  # fmt: skip
    if name.startswith("after."):
        return _("time passed")
    return known.get(name, name.replace("_", " "))


def state_titles(definition: Definition, paths: Iterable[str]) -> list[str]:
    """The titles of states, by their paths; those that hold others are left out for these."""
    every = list(paths)
    paths = [path for path in every if not any(other.startswith(f"{path}.") for other in every)]
    return [_(definition.states[path].title) if path in definition.states else path for path in paths]
