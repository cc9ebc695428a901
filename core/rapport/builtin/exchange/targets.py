"""What a column of a file may become: the fields of an entity, the parts of its addresses, and its id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rapport.builtin.exchange.headers import plain, suggest_mapping
from rapport.entities import EntityMeta
from rapport.entities.fields import ADDRESS_PARTS
from rapport.i18n.catalogs import N_, _

LINE_COLUMN = "Line in the file"
REASON_COLUMN = "Why it was refused"
"""The columns that a list of refused rows has more than the file it came from."""

TITLE_SUFFIX = ".title"
"""Exports write a reference twice: its id, and for people its title in a column that ends like this."""

PART_LABELS = {
    "street": N_("Street"), "city": N_("City"), "region": N_("Region"), "postcode": N_("Postcode"),
    "country": N_("Country"),
}  # fmt: skip
_LEFT_OUT = {"json", "file"}
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Target:
    """Something a column may become. `name` is a field, a part of an address (`address.city`), or `id`."""

    name: str
    label: str
    kind: str
    required: bool = False
    target: str = ""
    """For a reference: the entity behind it."""
    aliases: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The field it belongs to."""
        return self.name.partition(".")[0]


def targets_of(meta: EntityMeta) -> list[Target]:
    """Everything an import of this entity may set, in the order of its fields; `id` comes last."""
    found: list[Target] = []
    for f in meta.writable:
        if f.secret or f.kind in _LEFT_OUT:
            continue
        label = _(f.label)
        if f.kind == "address":
            found += [
                Target(f"{f.name}.{part}", f"{label}: {_(PART_LABELS[part])}", "text",
                       aliases=(f"{f.label}: {PART_LABELS[part]}", f"{f.label} {part}")) for part in ADDRESS_PARTS
            ]  # fmt: skip
            continue
        found.append(Target(f.name, label, f.kind, f.required, f.target or "", (f.label, *f.aliases)))
    return [*found, Target("id", _("Id"), "id", aliases=("id",))]


def guess_mapping(meta: EntityMeta, columns: Sequence[str], samples: Sequence[Sequence[str]]) -> dict[str, str]:
    """The field for each column we dare to guess; `samples` are some values of each column, in the same order."""
    titles = {f"{column}{TITLE_SUFFIX}" for column in columns}
    ours = {plain(LINE_COLUMN), plain(REASON_COLUMN)}
    wanted = [column for column in columns if column not in titles and plain(column) not in ours]
    mapping = suggest_mapping(wanted, targets_of(meta))
    for column, target in list(mapping.items()):
        if target == "id" and not all(_UUID.fullmatch(value) for value in samples[columns.index(column)] if value):
            del mapping[column]  # the number of another system
            if "reference" in meta.fields and "reference" not in mapping.values():
                mapping[column] = "reference"
    return mapping
