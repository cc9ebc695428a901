"""Letters and digits as people type them, whatever their keyboard."""

from __future__ import annotations

import re
import unicodedata

LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
RIGHT_TO_LEFT = "\N{RIGHT-TO-LEFT MARK}"
# Zero-width and direction marks come along when text is pasted from a web page or a chat; nobody sees them.
_INVISIBLE = dict.fromkeys(
    (0xAD, 0x61C, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
)
_PERSIAN_DIGITS = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
# Two keyboards, one letter: Arabic yeh and kaf stand for the Persian ones.
_SAME_LETTER = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه"})
_WORD = re.compile(r"[^\W_]+")


def plain_digits(text: str) -> str:
    """The digits of any script as 0 to 9: ۱۴۰۵, ١٤٠٥ and １４０５ are all 1405."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)


def persian_digits(text: str) -> str:
    """1405 as ۱۴۰۵."""
    return text.translate(_PERSIAN_DIGITS)


def without_marks(text: str) -> str:
    """The text without characters that nobody sees."""
    return text if text.isascii() else text.translate(_INVISIBLE)


def without_accents(text: str) -> str:
    """The letters alone, in their plain form: é as e, Hebrew and Arabic without points."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKD", without_marks(text))
    return "".join(char for char in text if not unicodedata.combining(char))


def fold_name(text: str) -> str:
    """A name as it is looked up in a list of names: "États-Unis " and "etats unis" are the same."""
    text = without_accents(without_accents(text).casefold()).translate(_SAME_LETTER)
    return " ".join(_WORD.findall(re.sub("['’‘ʼ׳״\".]", "", text)))
