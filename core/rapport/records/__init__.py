"""Records: the one way to read them and the one way to write them."""

from rapport.records.log import Logged
from rapport.records.reader import Reader
from rapport.records.session import ScopedSession
from rapport.records.unit import Unit

__all__ = ["Logged", "Reader", "ScopedSession", "Unit"]
