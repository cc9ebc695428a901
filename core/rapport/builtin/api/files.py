"""Files over the API: uploaded first, then put into a record by their id; read only through the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, request

from rapport.builtin.api.body import arguments
from rapport.builtin.api.problems import Refused
from rapport.builtin.api.resource import answer, record_id
from rapport.errors import Invalid, Problem
from rapport.files import file_of, store
from rapport.http import current_actor, current_site, send_stored

if TYPE_CHECKING:
    from rapport.builtin.api.resource import Resource


def upload() -> Response:
    """Take the part `file` of a form. What no record holds within a month is forgotten."""
    arguments(())
    if request.mimetype != "multipart/form-data":
        raise Refused(
            "wrong-type", "Send the header Content-Type: multipart/form-data, with the file as its part 'file'."
        )
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise Invalid(Problem("file", "is missing. Send the file as the part 'file', with its name."))
    stored = store(current_site(), sent.stream, sent.filename, current_actor())
    facts = {"id": str(stored.id), "name": stored.name, "media_type": stored.media_type, "size": stored.size}
    return answer(facts, 201)


def send(resource: Resource, field_name: str, id: str) -> Response:
    """The file that a record holds, for whoever may read the record."""
    arguments(())
    with current_site().read(current_actor()) as reader:
        record = reader.get(resource.entity, record_id(id, resource.entity))
        return send_stored(file_of(reader.session, record, field_name))
