"""Editions: a site fitted to one kind of business, upgraded without losing what the site changed, and taken back."""

from rapport.builtin.edition.engine import Outcome, OwnChange, apply_edition, diff, own_changes, rollback
from rapport.builtin.edition.export import export_edition
from rapport.builtin.edition.folder import Edition, discover_editions, find_edition, read_edition
from rapport.builtin.edition.lock import apply_lock, build_lock, read_lock, write_lock
from rapport.builtin.edition.sample import load_samples, remove_samples

__all__ = [
    "Edition",
    "Outcome",
    "OwnChange",
    "apply_edition",
    "apply_lock",
    "build_lock",
    "diff",
    "discover_editions",
    "export_edition",
    "find_edition",
    "load_samples",
    "own_changes",
    "read_edition",
    "read_lock",
    "remove_samples",
    "rollback",
    "write_lock",
]
