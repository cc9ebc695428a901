"""What is new in a message, and what it only repeats: others quoted below an answer, in whatever language."""

from __future__ import annotations

import re

_RULE = re.compile(r"^\s{0,10}[-_=*]{5,80}[^\n]{0,80}?[-_=*]{0,80}\s*$")
_FIELD = re.compile(r"^\s{0,10}\*{0,2}[^\s:：][^:：\n]{0,30}[:：]\*{0,2}\s*\S")
_ADDRESS = re.compile(r"[\w.+\-]{1,64}@[\w\-]{1,63}\.[\w.\-]{1,80}")


def split_quoted(text: str) -> tuple[str, str]:
    """A text as (what is new, what is quoted below it). Answers written between the quotes stay as they are."""
    lines = text.split("\n")
    at = _quote_begins(lines)
    if at is None:
        return text, ""
    fresh, quoted = "\n".join(lines[:at]).rstrip(), "\n".join(lines[at:]).strip("\n")
    return (fresh, quoted) if fresh.strip() else (text, "")


def _quote_begins(lines: list[str]) -> int | None:
    for at, line in enumerate(lines):
        if line.startswith(">") and all(not each.strip() or each.startswith(">") for each in lines[at:]):
            return _with_attribution(lines, at)
        if _RULE.match(line) and _is_head(lines[at + 1 : at + 8]):
            return at
        if _FIELD.match(line) and _is_head(lines[at : at + 6]) and not _FIELD.match(lines[at - 1] if at else ":"):
            return at
    return None


def _with_attribution(lines: list[str], at: int) -> int:
    """The line or two that say whose words follow: they end in a colon, whatever the language."""
    above = at - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    if above < 0 or not lines[above].rstrip().endswith((":", "：")):
        return at
    if (
        above > 0
        and lines[above - 1].strip()
        and _ADDRESS.search(lines[above])
        and not _ADDRESS.search(lines[above - 1])
    ):
        return above - 1
    return above


def _is_head(lines: list[str]) -> bool:
    """Whether these are the headers of a mail, as programs put them above what they quote."""
    fields: list[str] = []
    for line in lines:
        if not line.strip() and not fields:
            continue
        if not _FIELD.match(line):
            break
        fields.append(line)
    return len(fields) >= 3 and any(_ADDRESS.search(each) for each in fields)
