"""One kind of record over the API: list, get, create, change, archive, restore, delete."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Response, request

from rapport.builtin.api.body import arguments, flag, json_body, object_body, whole_number
from rapport.builtin.api.keys import claim, keep, key_of_request
from rapport.builtin.api.problems import Refused
from rapport.builtin.exchange.download import download
from rapport.entities import Entity, Field
from rapport.http import current_actor
from rapport.records import Unit
from rapport.records.reader import DEFAULT_LIMIT, MAX_LIMIT, Dumper, dumper, missing, row_dumper, wanted_fields

if TYPE_CHECKING:
    from rapport.site import Site

LIST_ARGUMENTS = ("filter", "sort", "fields", "limit", "cursor", "q", "archived", "count")
EXPORT_ARGUMENTS = ("format", "filter", "sort", "fields", "q", "archived")
COUNT_CAP = 10_000
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')  # a proxy that compresses weakens the tag, but not the version in it
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    """JSON, compact."""
    return Response(encode(body), status, headers, content_type="application/json")


def record_id(text: str, entity: type[Entity]) -> UUID:
    """The id in an address. What is no id names no record."""
    if not _UUID.fullmatch(text):
        raise missing(entity.meta, text[:100])
    return UUID(text)


class Resource:
    """The views of one entity, with everything that can be worked out beforehand."""

    def __init__(self, site: Site, entity: type[Entity]) -> None:
        self.site = site
        self.entity = entity
        self.meta = site.meta(entity)
        self.path = f"/api/v1/{entity.meta.name}"
        shown = {"id": 0, "version": 1}  # what addresses a record comes first
        self.fields = sorted(self.meta.visible, key=lambda f: shown.get(f.name, 2))
        self.dump, self.dump_row = dumper(self.meta, self.fields), row_dumper(self.fields)

    # Reading ---------------------------------------------------------------------------------------------------------

    def list(self) -> Response:
        """A page of records."""
        given = arguments(LIST_ARGUMENTS)
        fields, dump = self._chosen(given.get("fields"))
        archived, filter_, search = flag(given, "archived"), given.get("filter"), given.get("q", "")
        limit = whole_number(given, "limit", DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
        with self.site.read(current_actor()) as reader:
            page = reader.page(
                self.entity,
                filter=filter_,
                sort=given.get("sort", ""),
                limit=limit,
                cursor=given.get("cursor"),
                fields=fields,
                search=search,
                archived=archived,
            )
            body: dict[str, Any] = {"items": [dump(row) for row in page.items], "next": page.next_cursor}
            if flag(given, "count"):
                conditions = reader.conditions(self.entity, filter=filter_, search=search, archived=archived)
                body["count"], body["count_exact"] = reader.count(self.entity, *conditions, cap=COUNT_CAP)
        return answer(body)

    def export(self) -> Response:
        """The whole list as a file: what the list takes, but for its pages."""
        given = arguments(EXPORT_ARGUMENTS)
        with self.site.read(current_actor()) as reader:
            return download(
                reader,
                self.entity,
                given.get("format", "csv"),
                filter=given.get("filter"),
                sort=given.get("sort", ""),
                fields=given.get("fields"),
                search=given.get("q", ""),
                archived=flag(given, "archived"),
            )

    def get(self, id: str) -> Response:
        """One record, with its version as ETag."""
        fields, dump = self._chosen(arguments(("fields",)).get("fields"))
        with self.site.read(current_actor()) as reader:
            row = reader.row(self.entity, record_id(id, self.entity), fields=fields)
        known = request.headers.get("If-None-Match")
        if known is not None and (known.strip() == "*" or row.version in versions(known)):
            return Response(status=304, headers={"ETag": f'"{row.version}"'})
        return answer(dump(row), ETag=f'"{row.version}"')

    def _chosen(self, names: str | None) -> tuple[Sequence[Field], Dumper]:
        if names is None:
            return self.fields, self.dump_row
        fields = wanted_fields(self.meta, names)
        return fields, row_dumper(fields)

    # Writing ---------------------------------------------------------------------------------------------------------

    def create(self) -> Response:
        """A new record from the fields sent."""
        arguments(())
        values, key = json_body(), key_of_request()
        with self.site.write(current_actor()) as unit:
            if (before := claim(unit, key)) is not None:
                return before
            record = unit.create(self.entity, values)
            return keep(unit, key, self._shown(record, 201))

    def update(self, id: str) -> Response:
        """Change the fields sent; the rest stay as they are."""
        arguments(())
        seen = self._seen()
        values = json_body()
        with self.site.write(current_actor()) as unit:
            record = unit.get(self.entity, record_id(id, self.entity))
            unit.update(record, values, version=agreed(record, seen))
            return self._shown(record)

    def delete(self, id: str) -> Response:
        """Remove for good what may be removed."""
        arguments(())
        seen = self._seen()
        with self.site.write(current_actor()) as unit:
            record = unit.get(self.entity, record_id(id, self.entity))
            unit.delete(record, version=agreed(record, seen))
        return Response(status=204)

    def archive(self, id: str) -> Response:
        """Out of lists and search, with all its data; a second time changes nothing."""
        return self._put_away(id, lambda unit, record, version: unit.archive(record, version=version))

    def restore(self, id: str) -> Response:
        """Back into lists and search."""
        return self._put_away(id, lambda unit, record, version: unit.restore(record, version=version))

    def _put_away(self, id: str, act: Callable[[Unit, Entity, int | None], None]) -> Response:
        arguments(())
        object_body(())
        key = key_of_request()
        seen = versions(request.headers["If-Match"]) if "If-Match" in request.headers else None
        with self.site.write(current_actor()) as unit:
            if (before := claim(unit, key)) is not None:
                return before
            [record] = unit.hold(self.entity, [record_id(id, self.entity)])
            act(unit, record, None if seen is None else agreed(record, seen))
            return keep(unit, key, self._shown(record))

    def _seen(self) -> frozenset[int]:
        """The versions the caller names in If-Match: without one, nobody knows whose work would be overwritten."""
        text = request.headers.get("If-Match")
        if text is None or text.strip() == "*":
            raise Refused(
                "version-needed", 'Send the header If-Match with the ETag of the record as you read it, such as "3".'
            )
        return versions(text)

    def _shown(self, record: Any, status: int = 200) -> Response:
        headers = {"ETag": f'"{record.version}"'}
        if status == 201:
            headers["Location"] = f"{self.path}/{record.id}"
        return answer(self.dump(record), status, **headers)


def versions(text: str) -> frozenset[int]:
    """The versions named by ETags; other tags name none."""
    return frozenset(int(found) for found in _ETAG.findall(text))


def agreed(record: Any, seen: frozenset[int]) -> int:
    """The version to demand of a record: its own if the caller has seen it, else one that is refused as stale."""
    return record.version if record.version in seen else max(seen, default=0)
