"""Reading bytes as text, whatever a mail claims about them: misspelt charsets, none at all, or the wrong one."""

from __future__ import annotations

import codecs
import difflib
import encodings.aliases

SAMPLE = 1 << 16
# Text codecs that no mail is written in, or that read slowly what somebody made for that.
_NOT_MAIL = {
    "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "palmos", "charmap",
    "bz2_codec", "zlib_codec", "base64_codec", "hex_codec", "quopri_codec", "uu_codec", "rot_13",
}  # fmt: skip
_KNOWN = {*encodings.aliases.aliases, *encodings.aliases.aliases.values()} - _NOT_MAIL
# What is written under the first name is in truth the second, of which the first is a part.
_WIDER = {
    "ascii": "utf-8", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932",
    "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "iso2022_jp": "iso2022_jp_ext",
}  # fmt: skip
_ODD = {
    "utf8mb4": "utf-8", "unicode-1-1-utf-7": "utf-7", "iso-8859-8-i": "iso8859-8", "iso-8859-8-e": "iso8859-8",
    "ks_c_5601-1987": "cp949", "x-sjis": "cp932", "x-gbk": "gb18030", "x-mac-roman": "mac_roman",
    "x-unknown": "", "unknown-8bit": "", "unknown": "", "default": "", "8bit": "", "binary": "", "none": "",
}  # fmt: skip


def decode(data: bytes, charset: str = "") -> str:
    """The text of some bytes. Never fails: what cannot be read is shown as a replacement character."""
    name = codec(charset)
    for each in (_WIDER.get(name, name), name, "utf-8"):
        if each:
            try:
                return data.decode(each)
            except (UnicodeError, LookupError):
                continue  # the claim is wrong: try the next
    return data.decode(_guessed(data), "replace")


def codec(charset: str) -> str:
    """Python's name for a charset; a misspelt one is read as its nearest neighbour. Empty: there is none."""
    name = charset.strip().strip("'\"").lower()[:40]
    name = _ODD.get(name, name)
    if not name.isascii():
        return ""
    try:
        found = codecs.lookup(name).name if name else ""
    except (LookupError, ValueError):
        near = difflib.get_close_matches(name.replace("-", "_"), _KNOWN, n=1, cutoff=0.75)
        found = codecs.lookup(near[0]).name if near else ""
    return "" if found.replace("-", "_") in _NOT_MAIL else found


def _guessed(data: bytes) -> str:
    """What the bytes look like, from their beginning."""
    from charset_normalizer import from_bytes

    best = from_bytes(data[:SAMPLE]).best()
    return best.encoding if best is not None else "cp1252"
