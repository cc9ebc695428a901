"""Killed at any statement, an application leaves the old site or the new one, and saying it again goes on."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from rapport import Conflict
from rapport.builtin.edition.engine import application
from rapport.builtin.edition.items import read_configuration
from rapport.builtin.edition.store import finish
from tests.torture import tally

from .conftest import ADA
from .test_applying import PIPELINES, ROLES, SALES, SETTINGS

pytestmark = pytest.mark.timeout(300)  # processes of their own take their time on a busy machine

RUN = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from rapport import Config, system
from rapport.builtin.edition import apply_edition, read_edition, rollback

verb, home, database_url, folder, last = sys.argv[1:]
said = 0

@event.listens_for(Engine, "before_cursor_execute")
@event.listens_for(Engine, "commit")
def count(*_):
    global said
    said += 1
    if said == int(last):
        os.kill(os.getpid(), signal.SIGKILL)

config = Config(home=Path(home), database_url=database_url, secret_key="k" * 32, testing=True)
actor = system("test").through("cli")
if verb == "apply":
    apply_edition(config, read_edition(Path(folder)), actor=actor)
else:
    rollback(config, actor=actor)
"""


def killed(shop, verb, folder, *, last):
    """Do it in a process of its own, which kills itself before its n-th statement."""
    words = [sys.executable, "-c", RUN, verb, shop.config.home, shop.config.database_url, folder, last]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr or "it came to its end before the kill"


@contextlib.contextmanager
def counted():
    """How many statements are said in the block, with commits."""
    said = []

    def count(*_):
        said.append(1)

    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, count)
    try:
        yield said
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(Engine, name, count)


@pytest.fixture
def first(edition):
    return edition("1.0.0", modules=SALES, pipelines=PIPELINES.format(samples=30), roles=ROLES.format(export="none"),
                   settings=SETTINGS.format(currency="USD", days=45))  # fmt: skip


@pytest.fixture
def second(edition):
    return edition("2.0.0", modules=SALES, pipelines=PIPELINES.format(samples=40), roles=ROLES.format(export="own"),
                   settings=SETTINGS.format(currency="USD", days=60))  # fmt: skip


def test_killed_at_any_statement_nothing_of_the_edition_is_there_and_modules_go_off_again(shop, first):
    empty = shop.digest()
    shop.apply(first)
    shop.rollback()
    with counted() as said:  # the tables of the module are there by now
        shop.apply(first)
    applied = shop.digest()
    shop.rollback()
    for share in (40, 98):
        killed(shop, "apply", first.folder, last=len(said) * share // 100)
        ours = [key for key in shop.listed() if "role/marketing" in key or "Retailers" in key or "core.name" in key]
        assert ours == [], f"killed at {share} %, it left a part"
        shop.rollback()
        assert shop.digest() == empty
    # Or it goes on from where it was killed, and can be taken back as if nothing had been.
    killed(shop, "apply", first.folder, last=len(said) * 80 // 100)
    shop.apply(first)
    assert shop.digest() == applied
    shop.rollback()
    assert shop.digest() == empty


def test_an_upgrade_or_a_way_back_that_was_killed_leaves_the_old_or_the_new(shop, first, second):
    shop.apply(first)
    applied = shop.digest()
    with counted() as up:
        shop.apply(second)
    upgraded = shop.digest()
    with counted() as back:
        shop.rollback()
    assert shop.digest() == applied
    killed(shop, "apply", second.folder, last=len(up) * 95 // 100)
    assert shop.digest() == applied
    shop.apply(second)
    assert shop.digest() == upgraded
    killed(shop, "rollback", "", last=len(back) * 60 // 100)
    assert shop.digest() in {applied, upgraded}
    shop.rollback()
    assert shop.digest() == applied
    tally("D1", "applying an edition and taking it back", tried=5, torn=0)


def test_of_two_who_apply_at_the_same_time_one_is_told_to_try_again(shop, first, edition):
    other = edition("1.0.0", name="other", modules=SALES, roles="[[role]]\nname = 'others'\n")

    def overtaken():
        with application(shop.config, first.name, first.version, first.title, ADA) as note:
            shop.apply(other)
            with shop.site() as site, site.write(ADA) as unit:
                here = read_configuration(unit.session, site)
                finish(unit.session.connection(), note, after=here, given=[], clashes=[])

    with pytest.raises(
        Conflict, match="Somebody else began to apply an edition in the meantime, so nothing was changed"
    ):
        overtaken()
    assert "role/others" in shop.listed()
    with shop.site() as site:
        assert site.active("sales"), "what the other switched on stays on"
