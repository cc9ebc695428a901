"""Finding out in which letters a file is written, and saying so when it is only a guess."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from charset_normalizer import from_bytes

from .shapes import EncodingCandidate, Source, Unreadable

SCAN = 64 * 1024**2
EVIDENCE = 64 * 1024
LONGEST_LINE = 4 * 1024**2
TOO_LONG = "\ud800"

CODE_PAGES = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "gb18030", "big5", "shift_jis",
    "euc_kr", "euc_jp", "mac_roman", "cp850", "cp437", "cp862", "koi8_r",
)  # fmt: skip
"""What exports of the world come in, when it is not Unicode. The more usual stands first and wins a tie."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Put a lone surrogate where a byte means nothing: no text holds one, so it can be found again."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("rapport-mark", _mark)
_MARKED = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class Charset:
    """How to decode a file, and what else it might be."""

    encoding: str
    bom: int = 0
    candidates: list[EncodingCandidate] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_charset(source: Source, name: str, chosen: str | None) -> Charset:
    """A person's choice, else a byte order mark, else UTF-8 if it fits, else the likeliest code page."""
    head = source.head(4096)
    bom, marked = next(((len(mark), enc) for mark, enc in _BOMS if head.startswith(mark)), (0, None))
    if chosen:
        try:
            encoding = codecs.lookup(chosen).name
            "".encode(encoding)
        except LookupError:
            raise Unreadable(
                name, f"there is no encoding called '{chosen}'", "Choose another, such as utf-8 or cp1252."
            ) from None
        return Charset({"utf-8-sig": "utf-8", "utf-16": marked or "utf-16-le"}.get(encoding, encoding), bom)
    if marked:
        return Charset(marked, bom)
    if wide := _bare_utf16(head):
        return Charset(wide)
    good, bad, evidence = _scan_utf8(source)
    if not bad:
        return Charset("utf-8", candidates=[EncodingCandidate("utf-8", _sample(evidence, "utf-8"))] if evidence else [])
    if good > 10 * bad:
        return Charset(
            "utf-8",
            candidates=_rank(evidence, "utf-8"),
            warnings=["Some bytes are not valid UTF-8: the rows that hold them will be refused."],
        )
    candidates = _rank(evidence)
    best = candidates[0].encoding
    return Charset(
        best,
        candidates=candidates,
        warnings=[f"The file does not say how its letters are encoded; {best} is a guess. Look at the sample."],
    )


def text_blocks(source: Source, charset: Charset, *, size: int = 1 << 18) -> Iterator[str]:
    """The text, in blocks that end where a line ends. Undecodable bytes become marks; endless lines are cut."""
    decoder = codecs.getincrementaldecoder(charset.encoding)(errors="rapport-mark")
    kept, dropping = "", False
    with source.open() as file:
        file.read(charset.bom)
        final = False
        while not final:
            data = file.read(size)
            final = not data
            text = kept + decoder.decode(data, final)
            if dropping:
                end = _first_line_end(text)
                if end is None and not final:
                    kept = ""
                    continue
                text = "" if end is None else text[end:]
                dropping = False
            cut = len(text) if final else _last_line_end(text)
            if not cut and len(text) > LONGEST_LINE:
                yield text[:1000] + TOO_LONG + "\n"
                kept, dropping = "", True
                continue
            block, kept = text[:cut], text[cut:]
            if block:
                yield block.replace("\r\r\n", "\r\n") if "\r\r\n" in block else block


def bad_text(text: str, encoding: str) -> str | None:
    """Why this text cannot be stored, or None."""
    if TOO_LONG in text:
        return f"The line is longer than {LONGEST_LINE:,} characters."
    if found := _MARKED.search(text):
        value = ord(found[0])
        if not 0xDC00 <= value <= 0xDCFF:
            return "Half a character (a lone surrogate) stands in the text."
        return f"The byte 0x{value & 0xFF:02X} means nothing in {encoding}. Is the file written in another encoding?"
    if "\0" in text:
        return "A NUL character stands in the text: the file is damaged here."
    return None


def _last_line_end(text: str) -> int:
    """Where the last whole line ends. A CR at the very end may be half of a CR LF, so it waits."""
    return max(text.rfind("\n"), text.rfind("\r", 0, len(text) - 1) if not text.endswith("\n") else -1) + 1


def _first_line_end(text: str) -> int | None:
    found = re.search(r"\r\r?\n|\n|\r(?!$)", text)
    return found.end() if found else None


def _bare_utf16(head: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of Western text is NUL."""
    half = len(head) // 2
    if half < 4:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 0.3 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.3 * half and odd < 0.05 * half:
        return "utf-16-be"
    return None


def _scan_utf8(source: Source) -> tuple[int, int, bytes]:
    """How many characters beyond ASCII are good UTF-8, how many are not, and lines that hold such."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="rapport-mark")
    good = bad = scanned = 0
    evidence = bytearray()
    with source.open() as file:
        while scanned < SCAN:
            data = file.read(1 << 20)
            scanned += len(data)
            if not data or not data.isascii():
                text = decoder.decode(data, not data)
                marks = len(_MARKED.findall(text))
                bad += marks
                good += len(text) - len(text.encode("ascii", "ignore")) - marks
                for line in re.split(rb"[\r\n]+", data):
                    if len(evidence) < EVIDENCE and not line.isascii():
                        evidence += line[:2000] + b"\n"
            if not data:
                break
    return good, bad, bytes(evidence)


def _rank(evidence: bytes, first: str | None = None) -> list[EncodingCandidate]:
    """The likeliest encodings, best first. Guesses go wrong, so the person sees a line of each."""
    guesses = list(CODE_PAGES)
    for match in from_bytes(evidence[:8192], explain=False):
        if match.encoding not in guesses and not match.encoding.startswith(("utf_7", "utf_16", "utf_32")):
            guesses.append(match.encoding)
    # Those that nobody expects must read much better to come first.
    scores = {name: _plausibility(evidence, name) - (0.5 if name not in CODE_PAGES else 0.0) for name in guesses}
    best = sorted(guesses, key=lambda name: -scores[name])
    if first:
        best = [first, *best]
    candidates: list[EncodingCandidate] = []
    for name in best:
        sample = _sample(evidence, name)
        if all(sample != other.sample for other in candidates):
            candidates.append(EncodingCandidate(name, sample))
        if len(candidates) == 8:
            break
    return candidates


def _sample(evidence: bytes, encoding: str) -> str:
    line = evidence.split(b"\n", 1)[0].decode(encoding, "replace")
    at = next((i for i, character in enumerate(line) if character > "\x7f"), 0)
    start = max(0, at - 40)
    return line[start : start + 120].strip()


_COMMON = set("éèàçêâîôûëïöüäßñáíóúãõåøæ’“”–—€«»…łńśźżąęčěřšžýůőűığşоеаинтсрвлαοιετσνηυρςיוהלארתבשמایلمنروتبهد")
_PUNCTUATION = set("’‘“”„–—…«»€£°·©®™§、。，：；（）「」")


def _plausibility(evidence: bytes, encoding: str) -> float:
    """Reads it as that encoding and asks whether words look like words: one script, capitals first, usual letters."""
    text = evidence.decode(encoding, "rapport-mark")
    score, seen, before = 0.0, 0, " "
    for character in text:
        if character > "\x7f":
            seen += 1
            score += _letter_score(before, character, encoding)
        elif _script(before) not in {"", "LATIN", "HAN"} and character.isascii() and character.isalpha():
            score -= 1.5
        before = character
        if seen == 4000:
            break
    return score / max(seen, 1)


def _letter_score(before: str, character: str, encoding: str) -> float:
    if character in _PUNCTUATION:
        return 0.3
    if "\uff61" <= character <= "\uff9f":  # half-width kana: hardly ever meant
        return -0.5
    category = unicodedata.category(character)
    if category[0] == "C":
        return -10.0 if category == "Cs" else -5.0
    if category[0] not in "LM":
        return -1.0
    script, previous = _script(character), _script(before)
    if script == "HAN":
        return 1.5 if _is_usual_han(character, encoding) else -0.5
    score = 1.0 + (0.3 if character in _COMMON or script in {"HANGUL", "HIRAGANA", "KATAKANA"} else 0.0)
    if previous and script != previous:
        score -= 1.5
    if category == "Lu" and before.islower():
        score -= 1.5
    return score + _neighbour_score(script, previous, before, category)


def _neighbour_score(script: str, previous: str, before: str, category: str) -> float:
    """Accented letters stand between plain ones; words of other scripts hold together and begin with a capital."""
    if script == "LATIN":
        if previous != "LATIN":
            return 0.0
        return -1.0 if before > "\x7f" else 0.5
    if previous == script:
        return 0.5
    return {"Mn": -2.0, "Lu": 0.3, "Ll": -0.25}.get(category, 0.0)


@cache
def _script(character: str) -> str:
    if not character.isalpha() and unicodedata.category(character) != "Mn":
        return ""
    script = unicodedata.name(character, "").split(" ")[0].split("-")[0]
    return "HAN" if script == "CJK" else script


@cache
def _is_usual_han(character: str, encoding: str) -> bool:
    """Every national set keeps the usual characters in its first level."""
    legacy, low, high = {
        "big5": ("big5", 0xA4, 0xC6),
        "shift_jis": ("shift_jis", 0x88, 0x97),
        "euc_jp": ("euc_jp", 0xB0, 0xCF),
        "euc_kr": ("euc_kr", 0, 0),
    }.get(encoding, ("gb2312", 0xB0, 0xD7))
    try:
        lead = character.encode(legacy)[0]
    except UnicodeEncodeError:
        return False
    return low <= lead <= high
