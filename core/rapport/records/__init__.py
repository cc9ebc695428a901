"""Records: the one way to read them and the one way to write them."""

from rapport.records.reader import Reader
from rapport.records.unit import Unit

__all__ = ["Reader", "Unit"]
