"""References: which record a text means, asked for a whole chunk of rows at once and within what the actor may see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rapidfuzz import fuzz, process
from sqlalchemy import select

from rapport.db.batches import batched
from rapport.entities import Entity, EntityMeta, Field, entity_class
from rapport.i18n.catalogs import _
from rapport.query.fold import fold
from rapport.workflows.moves import stages_of

if TYPE_CHECKING:
    from rapport.records import Reader, Unit
    from rapport.site import Site

SMALL = 2000
"""Of a kind with no more records than this, all titles are read once: case and accents do not count then."""
KEPT = 50_000
NATURAL_KEYS = ("email", "reference", "code", "number", "value")
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class Lookup:
    """One reference field. `find` looks up many texts; `of` answers for one, from what was found."""

    def __init__(self, site: Site, owner: EntityMeta, field: Field) -> None:
        self.field = field
        self.owner = owner
        self.target: Any = entity_class(str(field.target))
        self.meta: EntityMeta = site.meta(self.target)
        self._known: dict[str, UUID | str | None] = {}
        self._small: dict[str, list[tuple[UUID, str]]] | None = None
        self._large = False

    def of(self, text: str) -> UUID | str | None:
        """The record's id; a text that says why it could be several; None when there is none."""
        return self._known[text]

    def remember(self, text: str, record_id: UUID) -> None:
        """A record that was just made under this title."""
        self._known[text] = record_id
        if self._small is not None:
            self._small.setdefault(fold(text), []).append((record_id, text))

    def forget(self) -> None:
        """What was found may no longer be there."""
        self._known.clear()
        self._small = None

    def forget_strangers(self) -> None:
        """What was not there may be there now: an earlier row of the same file."""
        self._known = {text: found for text, found in self._known.items() if isinstance(found, UUID)}
        self._small = None

    def find(self, reader: Reader, texts: Iterable[str]) -> None:
        """Look up texts: by id, by a key such as an e-mail address or a reference, by title."""
        wanted = [text for text in dict.fromkeys(texts) if text not in self._known]
        if not wanted:
            return
        if len(self._known) > KEPT:
            self._known.clear()
        found: dict[str, dict[UUID, None]] = {text: {} for text in wanted}
        self._find_in(reader, self.target.id, {text: UUID(text) for text in wanted if _UUID.fullmatch(text)}, found)
        for name in self._keys():
            self._find_in(reader, getattr(self.target, name), {text: text for text in _left(found)}, found)
        if not self._large and self._small is None:
            self._read_titles(reader)
        if self._small is not None:
            for text in _left(found):
                found[text] = {record_id: None for record_id, _title in self._small.get(fold(text), ())}
        elif self._folded_key():
            column = getattr(self.target, f"{self.meta.display}_key")
            self._find_in(reader, column, {text: fold(text) for text in _left(found)}, found)
        else:
            self._find_in(reader, getattr(self.target, self.meta.display), {t: t for t in _left(found)}, found)
        for text, ids in found.items():
            self._known[text] = next(iter(ids), None) if len(ids) < 2 else _several(self.meta, len(ids))

    def titles(self, reader: Reader, text: str, limit: int) -> list[str]:
        """Titles that look like a text, likeliest first; without a text the first ones there are."""
        if self._small is None and not self._large:
            self._read_titles(reader)
        if self._small is not None:
            known = [title for entries in self._small.values() for _id, title in entries]
        elif text:
            known = [title for _name, _id, title in reader.search(text, entities=[self.meta.name], limit=20)]
            known += self._beginning_alike(reader, text)
        else:
            column = getattr(self.target, self.meta.display)
            known = list(reader.session.scalars(select(column).where(self.target.archived_at.is_(None)).limit(limit)))
        known = list(dict.fromkeys(filter(None, known)))
        if not text:
            return sorted(known)[:limit]
        best = process.extract(text, known, scorer=fuzz.WRatio, processor=fold, limit=limit, score_cutoff=60)
        return [title for title, _score, _at in best]

    def _beginning_alike(self, reader: Reader, text: str) -> list[str]:
        if not self._folded_key() or len(fold(text)) < 3:
            return []
        key = getattr(self.target, f"{self.meta.display}_key")
        start = fold(text)[:3]
        return list(
            reader.session.scalars(
                select(getattr(self.target, self.meta.display))
                .where(key >= start, key < start + "\U0010ffff", self.target.archived_at.is_(None))
                .limit(200)
            )
        )

    def _keys(self) -> list[str]:
        fields = self.meta.fields
        return [
            f.name for f in fields.values()
            if f.kind in {"text", "email"} and not f.secret and f.name != self.meta.display
            and (f.unique or (f.name in NATURAL_KEYS and f.indexed))
        ]  # fmt: skip

    def _folded_key(self) -> bool:
        return f"{self.meta.display}_key" in self.meta.fields

    def _find_in(self, reader: Reader, column: Any, asked: dict[str, Any], found: dict[str, dict[UUID, None]]) -> None:
        by_value: dict[Any, list[str]] = {}
        for text, value in asked.items():
            by_value.setdefault(value, []).append(text)
        for values in batched(by_value):
            statement = select(self.target.id, column).where(column.in_(values), self.target.archived_at.is_(None))
            for record_id, value in reader.session.execute(statement):
                for text in by_value.get(value, ()):
                    found[text][record_id] = None

    def _read_titles(self, reader: Reader) -> None:
        if self.meta.name == "stage":
            rows: list[Any] = [(stage.id, stage.title) for stage in stages_of(reader.session, self.owner.name)]
        else:
            column = getattr(self.target, self.meta.display)
            statement = select(self.target.id, column).where(self.target.archived_at.is_(None)).limit(SMALL + 1)
            rows = [tuple(row) for row in reader.session.execute(statement)]
            if len(rows) > SMALL:
                self._large = True
                return
        self._small = {}
        for record_id, title in rows:
            for key in {fold(str(title)), fold(_(str(title))) if title else ""}:
                self._small.setdefault(key, []).append((record_id, str(title)))


def _left(found: dict[str, dict[UUID, None]]) -> list[str]:
    return [text for text, ids in found.items() if not ids]


def _several(meta: EntityMeta, count: int) -> str:
    return _(
        "could be any of %(count)s of that name: give the id instead, or a key that only one has.", count=count
    )  # fmt: skip


def make_missing(unit: Unit, lookup: Lookup, text: str, constants: dict[str, str]) -> Entity:
    """A new record under this title, because rows point at it."""
    return unit.create(lookup.target, {lookup.meta.display: text, **constants})  # type: ignore[no-any-return]
