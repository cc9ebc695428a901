"""Every address there is, asked for by everybody, with ids of one's own, of others, and of nothing.

What may happen follows from what each view declares (`@needs`, `@public`), and from `BY_THE_RECORD`, the few views that
decide by the kind of record in their address. A view that is in neither is found, and fails.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import inspect
import io
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from pypdf import PdfReader

from rapport.http import policy_of
from tests.security.world import Principal, World, tokens_in

MISSING = UUID("00000000-0000-7000-8000-000000000000")
READING = ("GET", "HEAD")

BY_THE_RECORD = {
    "list_page": "read", "record_page": "read", "board": "read", "history": "read", "file": "read", "suggest": "read",
    "edit": "update", "cell": "update", "new": "create", "archive": "delete", "delete": "delete", "restore": "delete",
    "export_list": "export", "duplicates": "read",
}  # fmt: skip
"""Views of every kind of record ask for this permission of the kind in their address."""

WHOLE = {"web.personal_data", "api.customer-personal-data"}
"""By law a person gets all that is held on them, whether or not the one who hands it out sees each record of it."""

NOTED = {
    "token": "when it was last used",
    "sign_in_attempt": "tries are counted, those that fail most of all",
    "portal_visitor": "a visit is counted",
    "portal_visit": "a visit is counted",
}
"""Tables that may change without anybody having been allowed to change anything."""


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent by anybody."""

    method: str
    path: str
    endpoint: str
    policy: str
    own: str
    """Whose ids it names: north, south, beyond, or missing; empty when it names none."""
    entity: str = ""
    query: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] | None = None
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}{' ' + str(dict(self.query)) if self.query else ''}"


# What an answer says -------------------------------------------------------------------------------------------------


def text_of(answer: Any) -> str:
    """All that an answer says, headers too; what is packed is unpacked."""
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    return f"{headers}\n{unpacked(answer.get_data())}"


def unpacked(data: bytes) -> str:
    """Bytes as text: XLSX, ZIP and GZIP are opened, PDF is read."""
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "\n".join(f"{name}\n{unpacked(archive.read(name))}" for name in archive.namelist())
    if data[:2] == b"\x1f\x8b":
        return unpacked(gzip.decompress(data))
    if data[:5] == b"%PDF-":
        return read_pdf(data)
    return data.decode("utf-8", "replace")


def read_pdf(data: bytes) -> str:
    """The text of a PDF: of each page all of it, so that a canary that was broken over two lines is found as well."""
    texts = [page.extract_text() for page in PdfReader(io.BytesIO(data)).pages]
    return "\n".join([*texts, *("".join(each.splitlines()) for each in texts)])


# What is asked -------------------------------------------------------------------------------------------------------

ASKED = re.compile(r'(?:request\.(?:args|form|values)|\b(?:form|args|values|sent))(?:\.get(?:list)?\(|\[)"([\w.]+)"')
ROOM: dict[str, Any] = {
    "q": "canary", "search": "canary", "limit": "50", "sort": "id", "version": "1", "format": "csv", "lang": "fr",
    "email": "canary@example.com", "next": "/", "back": "/", "day": "2026-05-05", "page": "1", "kind": "customer",
    "entity": "customer", "channel": "email", "password": "", "name": "A name", "title": "A title", "zone": "UTC",
    "subject": "A subject", "body": "A body", "text": "A text", "note": "A note",
}  # fmt: skip


@functools.cache
def asked_by(module: str) -> tuple[str, ...]:
    """What the views of a module look for in a request."""
    source = inspect.getsource(sys.modules[module])
    return tuple(dict.fromkeys(ASKED.findall(source)))


class Asking:
    """Makes the requests of a site: each route, each method, for each kind of record it may be about."""

    def __init__(self, world: World) -> None:
        self.world, self.site = world, world.site
        self.sets: dict[str, Mapping[str, UUID]] = {
            "north": world.north, "south": world.south, "beyond": world.beyond, "missing": {},
        }  # fmt: skip
        self.metas = {entity.meta.name: self.site.meta(entity) for entity in self.site.entities}
        self.listed = [name for name, meta in self.metas.items() if meta.listed]

    def id_of(self, own: str, name: str) -> UUID:
        return self.sets[own].get(name, MISSING)

    def all(self) -> Iterator[Request]:
        """All of them."""
        app = self.world.app.flask
        for rule in app.url_map.iter_rules():
            policy = policy_of(app.view_functions[rule.endpoint])
            assert policy is not None
            for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD", "TRACE"}):
                for own, values, entity in self._arguments(rule):
                    path = self._path(rule, values)
                    yield self._filled(Request(method, path, rule.endpoint, policy, own, entity))

    def _arguments(self, rule: Any) -> Iterator[tuple[str, dict[str, str], str]]:
        """Values of a rule's arguments, with whose ids are among them and of which kind they are."""
        names = set(rule.arguments)
        converters = rule._converters
        ids = {name for name in names if type(converters[name]).__name__ == "UUIDConverter" or name == "id"}
        kinds = self._kinds(rule, names)
        for kind in kinds:
            base: dict[str, str] = {}
            for name in names - ids:
                base[name] = self._other(rule, name, converters[name], kind)
            if not ids:
                yield "", base, kind
                continue
            for own in self.sets:
                found = dict(base)
                for name in ids:
                    found[name] = str(self.id_of(own, self._named(rule, name, kind)))
                if own == "missing" or str(MISSING) not in found.values():
                    yield own, found, kind

    def _kinds(self, rule: Any, names: set[str]) -> list[str]:
        if rule.rule.startswith(("/<name>", "/suggest/<target>", "/admin/kinds/<name>")):
            return [
                name for name in self.listed
                if ("/board" not in rule.rule and "/move" not in rule.rule) or self.metas[name].staged
            ]  # fmt: skip
        if rule.rule.startswith("/reports/<name>"):
            return [""]
        found = re.match(r"/(?:api/v1/)?([a-z_]+(?:\.[a-z_]+)?)(?=/|$)", rule.rule)
        return [found[1] if found and found[1] in self.metas else ""]

    def _named(self, rule: Any, argument: str, kind: str) -> str:
        """The kind of record an id in an address is of."""
        if argument in {"id", "record_id"} and kind:
            return kind
        noun = argument.removesuffix("_id")
        plugin = rule.endpoint.partition(".")[0].partition("_")[0]
        section = rule.rule.split("/")[2] if rule.rule.startswith("/portal/") and rule.rule.count("/") > 2 else plugin
        for name in (f"{plugin}.{noun}", f"{section}.{noun}", noun, *(n for n in self.metas if n.endswith(f".{noun}"))):
            if name in self.metas:
                return name
        if noun == "instance":
            return "workflow_instance"
        if noun == "field":
            return "custom_field"
        return kind or "customer"

    def _other(self, rule: Any, name: str, converter: Any, kind: str) -> str:
        if name in {"name", "target"} and kind:
            return kind
        if name == "name" and rule.rule.startswith("/reports/"):
            return next(iter(self.site.reports.names()))
        if name == "field_name":
            fields = self.metas[kind].writable
            files = [each for each in fields if each.kind == "file"]
            return (files or [each for each in fields if not each.target] or fields or [_Named("x")])[0].name
        if name == "action_name":
            return next((each.name for each in self.site.actions if each.entity == kind), "none")
        if type(converter).__name__ == "IntegerConverter":
            return "1"
        if type(converter).__name__ == "AnyConverter":
            return sorted(converter.items)[0]
        return {"plugin": "sales", "verb": "disable", "kind": "lead"}.get(name, "none")

    def _path(self, rule: Any, values: Mapping[str, str]) -> str:
        return re.sub(r"<(?:[^:<>]*(?:\([^)]*\))?:)?(\w+)>", lambda found: values[found[1]], rule.rule)

    def _filled(self, request: Request) -> Request:
        own = request.own or "south"
        if request.path.startswith("/api/v1/"):
            return self._api(request, own)
        view = inspect.unwrap(self.world.app.flask.view_functions[request.endpoint])
        soup = {name: self._value(name, own, request) for name in asked_by(view.__module__)}
        if request.method == "GET":
            return replace(request, query={k: v for k, v in soup.items() if k not in {"cursor", "format"}})
        if request.entity and request.path.endswith(("/edit", "/new")):
            soup |= self._fields(request.entity, own)
        return replace(request, form=soup)

    def _value(self, name: str, own: str, request: Request) -> str:
        noun = name.removesuffix("_id").rpartition(".")[2]
        if name == "ids":
            return str(self.id_of(own, request.entity))
        for kind in (noun, *(each for each in self.metas if each.endswith(f".{noun}"))):
            if kind in self.metas and name not in ROOM:
                return str(self.id_of(own, kind))
        return str(ROOM.get(name, "1"))

    def _fields(self, name: str, own: str) -> dict[str, Any]:
        """Values of all its fields: new texts, and references to whatever `own` has."""
        found: dict[str, Any] = {}
        for each in self.metas[name].writable:
            if each.secret or each.kind in {"file", "id"}:
                continue
            if each.target:
                found[each.name] = str(self.id_of(own, each.target))
            elif each.kind == "text" and not each.choices:
                found[each.name] = "something new"
            elif each.choices:
                found[each.name] = each.choices[0].value
        return found

    def _api(self, request: Request, own: str) -> Request:
        if request.method == "GET":
            return replace(request, query={"q": "canary"} if request.path.endswith("/search") else {})
        headers = {"If-Match": '"1"'} if request.own and request.method in {"PATCH", "DELETE"} else {}
        if request.path.endswith("/bulk"):
            meta = self.metas[request.entity]
            line = {"op": "update", "id": str(self.id_of(own, meta.name)), "version": 1, "values": {}}
            return replace(request, form=None, json=line, headers=headers)
        body = {} if request.method == "DELETE" or not request.entity else self._fields(request.entity, own)
        return replace(request, json=body, headers=headers)


@dataclass(frozen=True)
class _Named:
    name: str


def shape(request: Request) -> tuple[str, str, str]:
    """The same for requests that run through the same code, about other kinds of records."""
    endpoint = request.endpoint
    if endpoint.startswith("api.") and request.entity:
        endpoint = endpoint.replace(request.entity.replace(".", "-"), "*", 1)
    return endpoint, request.method, request.own


def some(requests: Sequence[Request], principal: str, how_many: int) -> list[Request]:
    """Of each shape so many, other ones for each principal, and the same ones each time."""
    shapes: dict[tuple[str, str, str], list[Request]] = {}
    for request in requests:
        shapes.setdefault(shape(request), []).append(request)
    found = []
    for key, alike in shapes.items():
        start = int(hashlib.sha256(f"{key} {principal}".encode()).hexdigest(), 16) % len(alike)
        found += [*alike[start:], *alike[:start]][:how_many]
    return found


# What must come of it ------------------------------------------------------------------------------------------------


def must_refuse(request: Request, principal: Principal, world: World) -> str:
    """Why somebody must not get what they ask for; empty when nothing declared is against it."""
    if request.policy == "public":
        return ""
    if principal.actor is None or not may_come(request, principal):
        return "is not signed in"
    if request.policy and not principal.actor.may(request.policy):
        return f"lacks {request.policy}"
    action = BY_THE_RECORD.get(request.endpoint.partition(".")[2])
    if request.endpoint.startswith("web.") and action and request.entity and not request.policy:
        permission = world.site.meta_named(request.entity).permission(action)
        if not principal.actor.may(permission):
            return f"lacks {permission}"
    return ""


def may_come(request: Request, principal: Principal) -> bool:
    """Whether they have a way in there at all: a token for the API, a session, or for customers the portal."""
    if principal.actor is None:
        return False
    in_portal = request.path.startswith("/portal")
    if principal.actor.customer_id is not None:
        return in_portal
    if principal.name == "scoped token":
        return request.path.startswith("/api/")
    return not in_portal


def send(request: Request, principal: Principal) -> Any:
    """Send it, as they would."""
    client = principal.way(request.path)
    if client is None:
        return None
    options: dict[str, Any] = {"query_string": dict(request.query), "headers": dict(request.headers)}
    if request.json is not None:
        options["json"] = request.json
    elif request.form is not None:
        options["data"] = dict(request.form)
    return client.open(request.path, method=request.method, **options)


IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
TOKEN = re.compile(r'(?<=name="csrf_token" value=")[^"]+|(?<=name="csrf-token" content=")[^"]+')
PASSING = re.compile(r"^(?:Date|Set-Cookie|ETag|Last-Modified|Content-Length):.*$", re.MULTILINE)


def normal(answer: Any) -> tuple[int, str]:
    """What of an answer must be the same for what is hidden and for what is not there."""
    return answer.status_code, IDS.sub("an id", TOKEN.sub("a token", PASSING.sub("", text_of(answer))))


def hidden_ids(request: Request, principal: Principal) -> set[UUID]:
    """The ids in an address that this principal may not read."""
    return {UUID(each) for each in IDS.findall(request.path)} - principal.reads - {MISSING}


@dataclass
class Found:
    """What a walk has seen, and what was wrong with it."""

    cells: int = 0
    refused: int = 0
    answered: int = 0
    changed: int = 0
    compared: int = 0
    wrong: dict[str, str] = field(default_factory=dict)
    """By kind of fault and route, the first request that showed it."""
    statuses: dict[int, int] = field(default_factory=dict)

    def note(self, what: str, request: Request, principal: Principal, said: str) -> None:
        self.wrong.setdefault(f"{what}: {request.method} {request.endpoint}", f"{principal.name}, {request}: {said}")


def _looks_missing(world: World, request: Request, principal: Principal, found: Found, answer: Any) -> None:
    """What is hidden answers as what is not there."""
    hidden = {str(each) for each in hidden_ids(request, principal)}
    absent = replace(request, path=IDS.sub(lambda id: str(MISSING) if id[0] in hidden else id[0], request.path))
    found.compared += 1
    with send(absent, principal) as other:
        if normal(answer) != normal(other):
            found.note("hidden looks different", request, principal, f"{answer.status_code}, not {other.status_code}")


def check(world: World, request: Request, principal: Principal, found: Found) -> Any:
    """Send one request and judge all that came of it."""
    answer = send(request, principal)
    if answer is None:
        return None
    found.cells += 1
    found.statuses[answer.status_code] = found.statuses.get(answer.status_code, 0) + 1
    text = text_of(answer)
    if answer.status_code >= 500:
        found.note("fault", request, principal, f"{answer.status_code} {text[-300:]}")
    sent = tokens_in(f"{request.path} {request.query} {request.form} {request.json}")
    whole = request.endpoint in WHOLE and answer.status_code == 200
    if not whole and (leaked := tokens_in(text) - principal.sees - sent):
        found.note("leak", request, principal, f"{answer.status_code} tells {sorted(leaked)[:5]}")
    if told := [secret for secret in world.secrets if secret in text]:
        found.note("secret", request, principal, f"{answer.status_code} tells {told[:2]}")
    why = must_refuse(request, principal, world)
    refused = answer.status_code in {401, 403, 404, 405} or (
        answer.status_code == 302 and "sign-in" in answer.headers.get("Location", "")
    )
    if why:
        found.refused += 1
        if not refused:
            found.note("not refused", request, principal, f"{why}, and got {answer.status_code}")
    else:
        found.answered += answer.status_code < 400
        if request.policy != "public" and hidden_ids(request, principal):
            _looks_missing(world, request, principal, found, answer)
    if world.touched():
        changed = [table for table in world.changed() if table not in NOTED]
        if changed and (answer.status_code >= 400 or request.method in READING or why):
            found.note("changed", request, principal, f"{answer.status_code}, and {changed} changed")
        if changed:
            found.changed += 1
            world.put_back()
    answer.close()
    return answer
