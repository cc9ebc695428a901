"""The API's own description, for programs that make clients and for the page to try it (OpenAPI 3.1)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Response, current_app, request
from werkzeug.routing import Rule

from rapport.builtin.api import bulk
from rapport.builtin.api.problems import KINDS
from rapport.builtin.api.resource import COUNT_CAP, EXPORT_ARGUMENTS, LIST_ARGUMENTS, encode
from rapport.builtin.exchange.exports import FORMATS
from rapport.entities import EntityMeta
from rapport.entities.schema import Value, json_schema, schema_class
from rapport.http import Described, description_of, policy_of
from rapport.records.reader import DEFAULT_LIMIT, MAX_LIMIT

if TYPE_CHECKING:
    from rapport.builtin.api.routes import Route
    from rapport.site import Site

DESCRIPTION = """Records, changes and search of this Rapport, with the rights of the token's user.

Every record carries `id` and `version`; the ETag is the version. A change names the version it is based on in
`If-Match`. A POST with an `Idempotency-Key` has its effect once, however often it is sent. Refusals are problem
details that name the field."""

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer"}
FLAG: dict[str, Any] = {"type": "boolean", "default": False}
PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "filter": (TEXT, 'Conditions in the filter language, such as `name contains "ada" and tags has "vip"`.'),
    "sort": (TEXT, "Fields to sort by, such as `-updated_at,name`; a minus sorts downwards."),
    "fields": (TEXT, "The fields wanted, separated by commas; all of them if left out."),
    "limit": ({**NUMBER, "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}, "How many at most."),
    "cursor": (TEXT, "`next` of the page before."),
    "q": (TEXT, "Words to search for, as people type them."),
    "archived": (FLAG, "Whether archived records are listed too."),
    "count": (FLAG, f"Whether to count; counting stops at {COUNT_CAP:,}."),
    "after": ({**NUMBER, "minimum": 0, "default": 0}, "`next` of the answer before."),
    "entity": (TEXT, "Only this kind of record."),
    "format": ({**TEXT, "enum": list(FORMATS), "default": "csv"}, "Of the file."),
    "state": ({**TEXT, "enum": ["waiting", "sent", "dead", "dropped"]}, "Only those in this state."),
    "atomic": (FLAG, "All operations, or none."),
}
TAKEN = {
    "list": LIST_ARGUMENTS,
    "export": EXPORT_ARGUMENTS,
    "get": ("fields",),
    "search": ("q", "entity", "limit"),
    "changes": ("after", "entity", "limit"),
    "bulk": ("atomic",),
    "messages": ("state", "limit", "cursor"),
    "heard": ("limit", "cursor"),
}
IF_MATCH = {
    "name": "If-Match", "in": "header", "required": True, "schema": TEXT,
    "description": 'The ETag of the record as you read it, such as `"3"`.',
}  # fmt: skip
IF_NONE_MATCH = {
    "name": "If-None-Match", "in": "header", "schema": TEXT,
    "description": "An ETag you have: 304 when the record is still the same.",
}  # fmt: skip
KEYED = {"create", "bulk", "archive", "restore", "start", "signal", "test", "replay", "again"}
"""What takes an Idempotency-Key. The others need none: done twice, they change nothing more, or answer with a secret,
which is kept nowhere."""
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key", "in": "header", "schema": {**TEXT, "maxLength": 200},
    "description": "Any text of yours: the same key again gives the first answer again, and no second effect.",
}  # fmt: skip
ETAG = {"ETag": {"schema": TEXT, "description": "The version of the record."}}
GENERAL = "Rapport"


class Document:
    """The OpenAPI document of one generation of a site: made when first asked for, then kept."""

    def __init__(self, site: Site, routes: Sequence[Route]) -> None:
        self.site = site
        self.routes = routes
        self._lock = threading.Lock()
        self._made: tuple[dict[str, Any], bytes, str] | None = None

    def view(self) -> Response:
        """The document as JSON; unchanged documents are not sent again."""
        _, text, tag = self._make()
        if tag in request.if_none_match:
            return Response(status=304, headers={"ETag": f'"{tag}"'})
        return Response(text, headers={"ETag": f'"{tag}"'}, content_type="application/json")

    @property
    def content(self) -> dict[str, Any]:
        """The document as an object."""
        return self._make()[0]

    def _make(self) -> tuple[dict[str, Any], bytes, str]:
        with self._lock:
            if self._made is None:
                content = _describe(self.site, self.routes)
                text = encode(content).encode()
                self._made = content, text, hashlib.sha256(text).hexdigest()[:16]
            return self._made


def _describe(site: Site, routes: Sequence[Route]) -> dict[str, Any]:
    marshmallow = MarshmallowPlugin()
    spec = APISpec(
        "Rapport",
        version("rapport-crm"),
        "3.1.0",
        plugins=[marshmallow],
        info={"description": DESCRIPTION},
        jsonSchemaDialect="https://json-schema.org/draft/2020-12/schema",
        security=[{"token": []}],
        servers=[{"url": "/"}],
    )
    assert marshmallow.converter is not None
    marshmallow.converter.add_attribute_function(_field_schema)  # type: ignore[no-untyped-call]
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    spec.components.schema("Problem", _problem_schema())
    spec.components.response("Problem", _problem_response())
    used = {route.entity for route in routes}
    for entity in site.entities:
        if entity.meta.name in used:
            _add_schemas(spec, site.meta(entity))
    for tag in [GENERAL, *(entity.meta.name for entity in site.entities if entity.meta.name in used)]:
        described = "Across all kinds of records" if tag == GENERAL else site.meta_named(tag).plural
        spec.tag({"name": tag, "description": described})
    for route in routes:
        path = route.rule.replace("<id>", "{id}")
        spec.path(path, operations={route.method.lower(): _operation(site, route)})
    for rule in current_app.url_map.iter_rules():
        if (told := description_of(current_app.view_functions[rule.endpoint])) is not None:
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            spec.path(rule.rule, operations={
                method.lower(): _described(rule, method, told, policy_of(current_app.view_functions[rule.endpoint]))
                for method in methods
            })  # fmt: skip
    return spec.to_dict()


def _described(rule: Rule, method: str, told: Described, policy: str | None) -> dict[str, Any]:
    """An operation that a plugin brings beside its records."""
    operation: dict[str, Any] = {
        "operationId": f"{rule.rule.rpartition('/')[2]}-{method.lower()}",
        "tags": [GENERAL],
        "summary": told.summary,
        "parameters": [
            {"name": name, "in": "query", "schema": TEXT, "description": text}
            for name, text in (told.parameters.items() if method == "GET" else ())
        ],
        "responses": {
            "200": {"description": "The answer", "content": {"application/json": {"schema": {"type": "object"}}}},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if policy:
        operation |= {"description": f"Needs the permission `{policy}`.", "x-permission": policy}
    if method != "GET" and told.body:
        schema = {"type": "object", "description": told.body}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _field_schema(converter: Any, field: Any, **kwargs: Any) -> dict[str, Any]:
    return json_schema(field.field) if isinstance(field, Value) else {}


def _add_schemas(spec: APISpec, meta: EntityMeta) -> None:
    name = meta.name
    for purpose in ("read", "create", "update"):
        schema = schema_class(meta, purpose=purpose)
        spec.components.schema(name if purpose == "read" else f"{name}.{purpose}", schema=schema)
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}
    spec.components.schema(
        f"{name}.list",
        {
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": items,
                "next": {"type": ["string", "null"], "description": "The cursor of the next page."},
                "count": NUMBER,
                "count_exact": {"type": "boolean", "description": "False when counting stopped early."},
            },
        },
    )


def _operation(site: Site, route: Route) -> dict[str, Any]:
    _, _, verb = route.name.rpartition("-")
    parameters: list[dict[str, Any]] = []
    if "<id>" in route.rule:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": {**TEXT, "format": "uuid"}})
    for name in TAKEN.get(verb, ()):
        schema, text = PARAMETERS[name]
        required = {"required": True} if (verb, name) == ("search", "q") else {}
        parameters.append({"name": name, "in": "query", "schema": schema, "description": text, **required})
    if verb in {"update", "delete"}:
        parameters.append(IF_MATCH)
    if verb == "get":
        parameters.append(IF_NONE_MATCH)
    if verb in KEYED and route.name != "token-create":
        parameters.append(IDEMPOTENCY_KEY)
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.entity or GENERAL],
        "summary": route.summary,
        "parameters": parameters,
        "responses": {**_success(route, verb), "default": {"$ref": "#/components/responses/Problem"}},
    }
    if route.needs:
        operation["description"] = f"Needs the permission `{route.needs}`."
        operation["x-permission"] = route.needs
    if (body := _request_body(route, verb)) is not None:
        operation["requestBody"] = body
    return operation


def _ref(name: str | None) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _success(route: Route, verb: str) -> dict[str, Any]:
    if route.name == "token-create":
        return {"201": {"description": "The token; its secret is shown this once.", "content": _ref("token")}}
    match verb:
        case "list":
            return {"200": {"description": "A page", "content": _ref(f"{route.entity}.list")}}
        case "export":
            files = {each: {"schema": TEXT} for each in FORMATS.values()}
            return {"200": {"description": "The file", "content": files}}
        case "get":
            found = {"description": "The record", "content": _ref(route.entity), "headers": ETAG}
            return {"200": found, "304": {"description": "You have it already."}}
        case "file":
            return {"200": {"description": "The file", "content": {"application/octet-stream": {}}}}
        case "data":
            return {"200": {"description": "The archive", "content": {"application/zip": {}}}}
        case "upload":
            facts = {"id": {**TEXT, "format": "uuid"}, "name": TEXT, "media_type": TEXT, "size": NUMBER}
            schema = {"type": "object", "properties": facts}
            return {"201": {"description": "Kept", "content": {"application/json": {"schema": schema}}}}
        case "create":
            return {"201": {"description": "Created", "content": _ref(route.entity), "headers": ETAG}}
        case "update" | "archive" | "restore":
            return {"200": {"description": "The record as it is now", "content": _ref(route.entity), "headers": ETAG}}
        case "delete":
            return {"204": {"description": "Deleted"}}
        case "bulk":
            line = {"type": "object", "description": "line, status, and id and version, or the problem"}
            return {
                "200": {"description": "One answer a line", "content": {bulk.CONTENT_TYPE: {"schema": line}}},
                "422": {"description": "Atomic, and a line failed", "content": {bulk.CONTENT_TYPE: {"schema": line}}},
            }
    return {"200": {"description": "The answer", "content": {"application/json": {"schema": {"type": "object"}}}}}


def _request_body(route: Route, verb: str) -> dict[str, Any] | None:
    if verb in {"create", "update"}:
        return {"required": True, "content": _ref(f"{route.entity}.{verb}")}
    if verb == "upload":
        schema = {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"contentMediaType": "application/octet-stream"}},
        }
        return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    if verb == "duplicates":
        return {"required": True, "content": _ref("customer.update")}
    if verb == "merge":
        ids = {"type": "array", "items": {**TEXT, "format": "uuid"}, "minItems": 1}
        schema = {"type": "object", "required": ["absorbed"], "properties": {"absorbed": ids}}
        return {"required": True, "content": {"application/json": {"schema": schema}}}
    if verb == "replay":
        moment = {**TEXT, "format": "date-time"}
        asked = {"message": TEXT, "failed": {"type": "boolean"}, "since": moment, "until": moment}
        again = {"type": "object", "properties": asked, "additionalProperties": False, "minProperties": 1}
        return {"required": True, "content": {"application/json": {"schema": again}}}
    if verb == "again":
        named = {"type": "object", "required": ["message"], "properties": {"message": TEXT}}
        return {"required": True, "content": {"application/json": {"schema": named}}}
    if verb == "bulk":
        return {"required": True, "content": {bulk.CONTENT_TYPE: {"schema": TEXT, "example": _bulk_example()}}}
    return None


def _bulk_example() -> str:
    return '{"op": "create", "values": {}}\n{"op": "update", "id": "…", "version": 1, "values": {}}\n'


def _problem_schema() -> dict[str, Any]:
    error = {"type": "object", "properties": {"field": {"type": ["string", "null"]}, "message": TEXT}}
    return {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {**TEXT, "format": "uri-reference", "enum": [f"/api/#{name}" for name in KINDS]},
            "title": TEXT,
            "status": NUMBER,
            "detail": TEXT,
            "errors": {"type": "array", "items": error},
            "current": {"type": "object", "description": "When stale: the record as it is now."},
        },
    }


def _problem_response() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "Refused; the problem says why and names the field.",
        "content": {"application/problem+json": {"schema": schema}},
    }
