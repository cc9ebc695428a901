"""The servers that the stories of e-mail run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rapport_email.testing import Mailboxes, MailServer, dovecot, running_mail_server, running_mailboxes


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A server that takes mail."""
    with running_mail_server() as server:
        yield server


@pytest.fixture(scope="session")
def _dovecot() -> Iterator[Mailboxes]:
    if dovecot() is None:
        pytest.skip("no Dovecot: apt-get install dovecot-imapd")
    with running_mailboxes() as server:
        yield server


@pytest.fixture
def mailboxes(_dovecot: Mailboxes) -> Mailboxes:
    """A Dovecot, one for the whole run: each test uses mailboxes of its own."""
    return _dovecot
