"""Somebody at the pages of a site, without a browser: opens an address, sends the form that is there."""

from __future__ import annotations

import io
import re
from typing import Any

from rapport import Actor
from rapport.testing import TestApp


class Person:
    """Somebody who is signed in. `page` is what is in front of them, `url` where they are."""

    def __init__(self, app: TestApp, actor: Actor | None = None) -> None:
        self.app = app
        self.browser = app.browser(actor)
        self.page = self.url = ""

    def opens(self, url: str, status: int = 200) -> str:
        """Go to an address."""
        with self.browser.get(url, follow_redirects=True) as answer:
            return self._sees(answer, status)

    def sends(self, url: str, status: int = 200, **data: Any) -> str:
        """Send a form, with the token of the page it is on."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.page)
        data = {"csrf_token": found[1] if found else "", **data}
        with self.browser.post(url, data=data, follow_redirects=True) as answer:
            return self._sees(answer, status)

    def uploads(
        self, text: str | bytes, entity: str = "customer", name: str = "people.csv", status: int = 200
    ) -> str:  # fmt: skip
        """Bring a list to be imported."""
        self.opens(f"/import?entity={entity}")
        data = text if isinstance(text, bytes) else text.encode()
        return self.sends("/import", status, entity=entity, file=(io.BytesIO(data), name))

    def downloads(self, url: str) -> bytes:
        """Take a file."""
        with self.browser.get(url) as answer:
            assert answer.status_code == 200
            data: bytes = answer.data
            return data

    def waits(self) -> str:
        """Until the work that was asked for is done."""
        self.app.settle()
        return self.opens(self.url)

    def _sees(self, answer: Any, status: int) -> str:
        self.page, self.url = answer.get_data(as_text=True), answer.request.path
        assert answer.status_code == status, self.page
        return self.page
