"""The page to try the API: every operation by kind of record, and a form that sends it with one's own token."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template

from rapport.builtin.api.openapi import Document
from rapport.builtin.api.problems import KINDS


def view(document: Document) -> Response:
    """The page, made from the document that programs read."""
    content = document.content
    groups: dict[str, dict[str, Any]] = {
        tag["name"]: {"title": tag["description"], "operations": []} for tag in content["tags"]
    }
    for path, methods in content["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]]["operations"].append(
                {"method": method.upper(), "path": path, "id": operation["operationId"], **_form(content, operation)}
            )
    html = render_template("api/reference.html", content=content, groups=groups, problems=KINDS.values())
    return Response(html, content_type="text/html; charset=utf-8")


def _form(content: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, dict[str, Any]] = operation.get("requestBody", {}).get("content", {})
    media, described = next(iter(body.items()), ("", {}))
    return {
        "summary": operation["summary"],
        "needs": operation.get("x-permission", ""),
        "parameters": operation["parameters"],
        "media": media,
        "example": described.get("example", "{}"),
        "fields": _fields(content, described.get("schema", {})),
    }


def _fields(content: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of a body, for the table beside the form."""
    name = schema.get("$ref", "").rpartition("/")[2]
    schema = content["components"]["schemas"].get(name, schema)
    required = schema.get("required", ())
    return [
        {
            "name": field,
            "label": described.get("title", ""),
            "type": _type(described),
            "required": field in required,
            "help": described.get("description", ""),
        }
        for field, described in schema.get("properties", {}).items()
    ]


def _type(described: dict[str, Any]) -> str:
    if "enum" in described:
        return " · ".join(str(value) for value in described["enum"] if value not in {None, ""})
    kind = described.get("type", "any")
    kind = kind if isinstance(kind, str) else kind[0]
    return str(described.get("x-references") or described.get("format") or kind)
