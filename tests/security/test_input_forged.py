"""Requests that another page makes a browser send, and pages that are only looked at: neither changes a row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rapport.testing import TestApp
from tests.security.kinds import one_of_each, state, whole_site
from tests.torture import tally, tries
from tests.web.test_statements import pages

COUNTED = ("token", "sign_in_attempt")
"""When a token was last used, and how often somebody tried: what is noted of every request."""


def changing(app: TestApp, made: dict[str, Any]) -> list[tuple[str, str]]:
    """Every method and address of the web that changes something, for the records there are."""
    found = []
    for rule in app.flask.url_map.iter_rules():
        if rule.rule.startswith(("/api/", "/hooks/")):
            continue  # by token only; no browser sends one by itself
        kinds = [rule.rule.partition("/")[2].partition("/")[0]] if "<name>" not in rule.rule else ["customer", "task"]
        for kind in kinds:
            url = re.sub(r"<name>", kind, rule.rule)
            url = re.sub(r"<uuid:\w+>", str(made.get(kind, made["customer"])), url)
            url = re.sub(r"<int:\w+>", "1", re.sub(r"<[^<>]*>", "x", url))
            found += [(method, url) for method in sorted((rule.methods or set()) - {"GET", "HEAD", "OPTIONS"})]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_comes_from_another_page_and_what_is_only_looked_at_changes_nothing(
    database_url: str, tmp_path: Path
) -> None:
    with whole_site(tmp_path, database_url) as app:
        made = one_of_each(app)
        app.settle()
        asked = changing(app, made)
        assert len(asked) > 100
        browser, nobody = app.browser(), app.flask.test_client()
        begun = state(app.site, but=COUNTED)
        app.submit(browser, "/customer/new", {"name": "Control"})  # with the token of our own page
        before, taken = state(app.site, but=COUNTED), []
        assert before != begun
        for method, url in asked:
            for client in (nobody, browser):  # after somebody without a session, in one process
                for sent in ({"data": {"name": "Forged", "csrf_token": "x"}}, {"json": {"name": "Forged"}}):
                    answer = client.open(url, method=method, **sent, headers={"Origin": "https://evil.example"})
                    if answer.status_code < 300 or answer.status_code >= 500:
                        taken.append((method, url, answer.status_code, client is browser))
                    answer.close()
        after = state(app.site, but=COUNTED)
        changed = sorted(table for table in before if before[table] != after.get(table))
        known: dict[str, list[Any]] = {name: [each] for name, each in made.items()}
        looked = pages(app, known)[:: tries(9, long=1)]
        for url in looked:
            browser.get(url).close()
        end = state(app.site, but=COUNTED)
        seen = sorted(table for table in after if after[table] != end[table])
        assert (taken, changed, seen) == ([], [], [])
    tally("B11", "forged requests", tried=4 * len(asked), changed=0, control=1)
    tally("B11", "pages that are looked at", tried=len(looked), changed=0)
