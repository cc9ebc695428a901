"""Showing the HTML of mails: cleaned, with the pictures that came along and none from outside, in a frame."""

from __future__ import annotations

import base64
import html
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rapport_email.parsing import Part

CHILD = Path(__file__).with_name("cleaning_child.py")
SECONDS = 3
MEMORY = 1 << 30
MAX_PICTURES = 8 << 20
PICTURES = ("image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp")
FRAME_POLICY = (
    "default-src 'none'; img-src data:{images}; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""Of the answer that shows a mail: nothing runs in it, nothing is loaded, and it is nobody's origin."""
_CID = re.compile(r'src="cid:([^"]{1,400})"')


class TooSlow(ValueError):
    """A page that takes longer to clean than any real one. Its text is shown instead."""


def clean(page: str, *, images: bool = False) -> str:
    """The page with what may stand in a mail. TooSlow when it was built to be slow."""
    wanted = json.dumps({"images": images, "memory_bytes": MEMORY, "seconds": SECONDS})
    try:
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            [sys.executable, "-I", str(CHILD), wanted], input=page.encode("utf-8", "replace"), timeout=SECONDS * 2,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, check=True,
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        raise TooSlow("This mail's HTML cannot be shown.") from error
    return done.stdout.decode("utf-8")


def framed(page: str, files: Sequence[Part], *, images: bool = False) -> str:
    """A whole document for the frame, with the pictures that came with the mail in their places."""
    within = {each.content_id: each for each in files if each.content_id and each.media_type in PICTURES}
    room = MAX_PICTURES

    def picture(found: re.Match[str]) -> str:
        nonlocal room
        part = within.get(html.unescape(found[1]))
        if part is None or len(part.content) > room:
            return 'alt=""'
        room -= len(part.content)
        return f'src="data:{part.media_type};base64,{base64.b64encode(part.content).decode()}"'

    body = _CID.sub(picture, clean(page, images=images))
    return (
        '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<style>body{font:15px/1.5 system-ui,sans-serif;margin:12px;color:#1a1a1a;background:#fff;"
        "overflow-wrap:anywhere}"
        "img,table{max-width:100%}img{height:auto}</style></head>"
        f'<body dir="auto">{body}</body></html>'
    )


def has_pictures_outside(page: str) -> bool:
    """Whether a mail would load pictures from elsewhere, and so tell its sender that it was read."""
    return bool(re.search(r"<img\b[^<>]{0,2000}\bsrc\s*=\s*[\"']?https?:", page, re.IGNORECASE))
