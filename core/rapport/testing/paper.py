"""Two channels for tests that are real, and simple: what they send is appended to a file, a line for each message.

They come as a plugin, installed for a test by the fixture `paper`:

    @pytest.mark.usefixtures("paper")
    @pytest.mark.plugins("paper", "visits")
    def test_a_visitor_is_thanked(app):
        ...
        assert [slip["subject"] for slip in sent(app.site)] == ["Thank you"]

`slip` goes to e-mail addresses and `letter` to those of houses. As with the trial numbers of telephone companies, some
addresses have a fate: `busy@` fails for now, `gone@` for ever, and `crash@` ends in the midst, with the slip written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rapport import Channel, InteractionType, Outgoing, PermanentFailure, Receipt, Site, TemporaryFailure, hookimpl

FILE = "paper.jsonl"


@hookimpl
def register_channels() -> list[Channel]:
    return [
        Channel("slip", "Slip of paper", "note", "email", write),
        Channel("letter", "Letter", "mail", "address", write),
    ]


@hookimpl
def register_interaction_types() -> list[InteractionType]:
    return [InteractionType("slip", "Slip of paper", "note"), InteractionType("letter", "Letter", "mail")]


def write(outgoing: Outgoing, site: Site) -> Receipt:
    """Append the message to the file: when this returns, it is out for good."""
    fate = outgoing.address.partition("@")[0]
    if fate == "busy":
        raise TemporaryFailure("The line is busy.")
    if fate == "gone":
        raise PermanentFailure("Nobody lives there any more.", suppress=True)
    slip = {
        "message": str(outgoing.message_id), "attempt": outgoing.attempt, "to": outgoing.address, "name": outgoing.name,
        "subject": outgoing.subject, "body": outgoing.body, "html": outgoing.html, "purpose": outgoing.purpose,
        "in_reply_to": outgoing.in_reply_to, "references": list(outgoing.references),
        "headers": dict(outgoing.headers), "preferences_url": outgoing.preferences_url,
        "files": {file.name: file.path.read_bytes().decode("latin-1") for file in outgoing.files},
    }  # fmt: skip
    handle = os.open(_file(site), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, (json.dumps(slip) + "\n").encode())  # one write, so that processes do not mix their lines
    finally:
        os.close(handle)
    if fate == "crash":
        raise RuntimeError("The pen broke.")
    return Receipt(f"paper-{outgoing.message_id}")


def sent(site: Site) -> list[dict[str, Any]]:
    """Everything that was written, the oldest first."""
    path = _file(site)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def _file(site: Site) -> Path:
    return site.config.home / FILE


def install(folder: Path) -> None:
    """Make it known as an installed plugin to every process that has `folder` in its path."""
    info = folder / "rapport_paper-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rapport-paper\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[rapport.plugins]\npaper = rapport.testing.paper\n", "utf-8")
