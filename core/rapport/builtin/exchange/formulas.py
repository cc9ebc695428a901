"""Keeping a spreadsheet from running what somebody typed into a form, without changing a letter of it for good.

A spreadsheet takes a cell of a CSV file for a formula when it begins with one of = + - @, TAB, CR, LF or their
full-width twins. Such a cell is written with an apostrophe in front, and so is one that already begins with
apostrophes followed by such a sign; reading takes one apostrophe away again. Plain numbers and telephone numbers
("-5", "+49 170 1234567") are harmless and stay as they are.
"""

from __future__ import annotations

import re

_RISKY = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_HARMLESS = re.compile(r"[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?|\+\d[\d ().]*|[-+]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")

SEEN = re.compile(r"'[=+\-@\t\r\n＝＋－＠]")
"""Where this does not occur in a text, no cell of it needs `bare`."""


def guard(text: str) -> str:
    """The cell as it is written to a CSV file."""
    if _RISKY.match(text) and not _HARMLESS.fullmatch(text):
        return "'" + text
    return text


def bare(text: str) -> str:
    """The cell as it was before `guard`."""
    return text[1:] if _GUARDED.match(text) else text
