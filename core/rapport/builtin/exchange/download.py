"""An export as the answer to a request."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO
from uuid import UUID

from flask import Response, send_file

from rapport.access import Actor
from rapport.builtin.exchange.exports import FORMATS, export, export_rows
from rapport.customers.personal_data import export_person
from rapport.entities import Entity, Field
from rapport.http import same_rights
from rapport.records import Reader
from rapport.site import Site

IN_MEMORY = 4 * 1024 * 1024


def download(reader: Reader, entity: type[Entity], format: str, **asked: Any) -> Response:
    """A list as a file, whole before its first byte is sent: a fault on the way is an error page, not half a list.

    After each page of it rights are read anew: who has lost some meanwhile gets nothing.
    """

    def look_again(_rows: int, _total: int) -> None:
        same_rights(reader.actor)

    def write(target: BinaryIO) -> None:
        export(reader, entity, target, format, progress=look_again, **asked)

    return _sent(write, reader, entity.meta.name, format)


def download_rows(
    reader: Reader, name: str, title: str, columns: Sequence[Field], rows: Sequence[Any], format: str
) -> Response:
    """Rows that were read already, such as those of a report, as a file."""
    return _sent(lambda target: export_rows(reader, columns, rows, target, format, title=title), reader, name, format)


def table_file(reader: Reader, title: str, columns: Sequence[Field], rows: Sequence[Any], format: str) -> bytes:
    """The same file by itself, to go along with a mail."""
    target = io.BytesIO()
    export_rows(reader, columns, rows, target, format, title=title)
    return target.getvalue()


def download_person(site: Site, actor: Actor, customer_id: UUID) -> Response:
    """Everything held on a person, as a ZIP."""
    target = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with the answer
    try:
        export_person(site, actor, customer_id, target)
    except BaseException:
        target.close()
        raise
    target.seek(0)
    answer = send_file(target, "application/zip", as_attachment=True, download_name=f"customer-{customer_id}.zip")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _sent(write: Callable[[BinaryIO], Any], reader: Reader, name: str, format: str) -> Response:
    target = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with the answer
    try:
        write(target)  # type: ignore[arg-type]  # a file in all but its base class
    except BaseException:
        target.close()
        raise
    target.seek(0)
    file_name = f"{name}-{reader.today().isoformat()}.{format}"
    answer = send_file(target, FORMATS[format], as_attachment=True, download_name=file_name)
    answer.headers["Cache-Control"] = "no-store"
    return answer
