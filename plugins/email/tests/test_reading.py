"""Whatever strangers send is read: broken, misdeclared, in every script, or made to be slow. And reports are known."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from rapport_email.kinds import kind_of, reports
from rapport_email.parsing import Unreadable, parse

from rapport import split_quoted

SAMPLES = Path(__file__).parent / "samples"
SHARED = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data" / "07_email"
SECONDS = 20
"""Far more than any of these takes; what they are made for is minutes and hours."""


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.eml").read_bytes()


@pytest.mark.parametrize(
    ("name", "sender", "subject", "text", "files"),
    [
        ("mail/multi_charset__japanese_iso_2022", "raasdnil@gmail.com", "まみむめも", "すみません。", []),
        ("mail/multi_charset__ks_c_5601-1987", "from@example.com", "test", "스티해", []),
        ("mail/attachment_emails__attachment_nonascii_filename", "foo@example.com", "testing",
         "This is the first part.", ["ciële.txt"]),
        ("mail/multi_charset__japanese_attachment_long_name", "mikel@test.lindsaar.net", "まみむめも" * 10, "",
         ["かきくけこ" * 5 + ".txt"]),
        ("mail/rfc6532__utf8_headers", "jdöe@mächine.example", "Säying Hello", "body", []),
        ("mail/error_emails__content_transfer_encoding_qp_with_space", "fyouizjnp@swissonline.ch",
         "Low or High Blood Pressure? We can help.", None, []),
        ("mail/plain_emails__raw_email_double_at_in_header", "jamis@37signals.com", "NOTE: 한국말로 하는 것", None, []),
        ("mail/error_emails__bad_date_header2", "enews@free-quilting.com", "40% OFF holiday patterns and fabric!", "",
         []),
        ("mail/attachment_emails__attachment_message_rfc822_inline_image", "test@example.com", "test", "",
         ["img.png", "Testmail.eml"]),
    ],
)  # fmt: skip
def test_a_mail_says_what_its_writer_meant(name, sender, subject, text, files):
    mail = parse(sample(name))
    assert (mail.sender.email, mail.subject) == (sender, subject)
    assert text is None or mail.text == text
    assert [each.name for each in mail.files] == files


def test_charsets_are_repaired():
    head = b"From: ada@example.org\nSubject: =?uft-8?B?2LPZhNin2YU=?=\nContent-Type: text/plain; charset="
    for claim, data in (
        (b"uft-8", "سلام دنیا".encode()),
        (b'"utf8"', "Grüße".encode()),
        (b"iso-8859-8-i", "שלום".encode("iso8859-8")),
        (b"gb2312", "軟體".encode("gb18030")),
        (b"us-ascii", "naïve".encode()),
        (b"iso-8859-1", b"\x93quoted\x94"),
        (b"unicode_escape", b"\\x41"),
    ):
        mail = parse(head + claim + b"\n\n" + data)
        assert mail.subject == "سلام"
        assert "\ufffd" not in mail.text
        assert mail.text not in {"", "A"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("lhost-gmail-01", [("userunknown@example.jp", "5.1.1", True)]),
        ("cr-only-gmail-01", [("userunknown@example.jp", "5.1.1", True)]),
        ("lhost-sendmail-46", [("pseudo-local-part-kijitora-nyaaan@laposte.net", "5.5.0", True)]),
        ("lhost-postfix-01", [("kijitora@example.org", "5.1.1", True)]),
        ("lhost-exim-07", [("shiba@example.com", "", False)]),
        ("rfc3464-28", [("kijitora@neko.example.jp", "2.1.5", False)]),
        ("arf-01", [("redacted@example.net", "", True)]),
        ("rfc3834-01", []),
        ("is-not-bounce-01", []),
        ("is-not-bounce-02", []),
    ],
)
def test_a_report_names_whom_it_is_about_and_whether_it_is_for_good(name, found):
    assert [(each.recipient, each.status, each.hard) for each in reports(parse(sample(f"sisimai/{name}")))] == found


def test_only_what_somebody_wrote_is_personal():
    assert kind_of(parse(sample("sisimai/rfc3834-01"))) == "automatic"
    assert kind_of(parse(sample("sisimai/arf-01"))) == "complaint"
    assert kind_of(parse(sample("sisimai/rfc3464-28"))) == "bounce"
    assert kind_of(parse(b"From: a@b.example\nList-Id: <x.y>\n\nNews")) == "list"
    assert kind_of(parse(b"From: a@b.example\nAuto-Submitted: no\n\nHello")) == "personal"
    assert kind_of(parse(b"From: a@b.example\nAuto-Submitted: auto-replied\n\nHello")) == "automatic"
    assert kind_of(parse(b"Return-Path: <>\nFrom: a@b.example\n\nHello")) == "automatic"


@pytest.mark.skipif(not SHARED.exists(), reason=f"the real mails are not here ({SHARED})")
def test_every_real_mail_is_read_and_every_report_is_known():
    kinds: dict[str, Counter[str]] = {}
    odd: dict[str, str] = {}
    for path in sorted(each for each in SHARED.rglob("*") if each.is_file()):
        kind = kind_of(parse(path.read_bytes()))
        report = path.parent.name.startswith("sisimai_bounces")
        kinds.setdefault("reports" if report else path.parent.name, Counter())[kind] += 1
        if report != (kind in {"bounce", "complaint"}) and not path.name.startswith("multi"):
            odd[path.name] = kind
    assert sum(sum(each.values()) for each in kinds.values()) == 460
    assert kinds["reports"] == {"bounce": 254, "complaint": 9, "automatic": 6, "personal": 1}
    # Of 270, these are none by our word: three are answers from people who are away (two of them three times), one
    # tells of a check that failed, and one is a report that a person passed on.
    assert odd.pop("arf-19.eml") == "automatic"
    assert odd.pop("lhost-sendmail-14.eml") == "personal"
    assert {odd.pop(f"rfc3834-0{number}.eml") for number in (1, 3, 5)} == {"automatic"}
    # Reports among the other mails. The last one lies in a folder of mails that are none, but it is one.
    assert odd == {
        "mime_emails__raw_email_with_mimepart_without_content_type.eml": "bounce", "rb-issue-368-bug.eml": "bounce",
    }  # fmt: skip


HEAD = b"From: a@b.example\nSubject: x\nMIME-Version: 1.0\n"
TYPE = b"Content-Type: "
BOMBS = {
    "nested parts": b"".join(b"%smultipart/mixed; boundary=b%d\n\n--b%d\n" % (TYPE, n, n) for n in range(300))
    + b"x\n" * 300_000,
    "many parts": TYPE + b"multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 300_000,
    "mails in mails": (TYPE + b"message/rfc822\n\n") * 5_000,
    "a long type": TYPE + b'text/plain; name="' + b";" * 200_000 + b"\n\n",
    "a long name": b"Content-Disposition: attachment; filename=" + b';a="' * 50_000 + b"\n\n",
    "comments in comments": b"To: " + b"(" * 20_000 + b"\n\n",
    "encoded words": b"X-Failed-Recipients: " + b"=?utf-8?q?" * 20_000 + b"\n\n",
    "many fields": TYPE
    + b"multipart/report; boundary=b\n\n--b\n"
    + TYPE
    + b"message/delivery-status\n\n"
    + b"Final-Recipient: rfc822;a@b.cc\nAction: failed\n\n" * 50_000,
    "open tags": TYPE + b"text/html\n\n" + b"<style" * 300_000,
    "one long line": b"\n" + b"a" * 5_000_000,
    "dashes": b"\n" + b"-" * 200_000,
    "fields of a quoted mail": b"\n" + b"a: b\n" * 20_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_mail_that_was_made_to_be_slow_is_read_or_refused_in_time(name):
    start = time.monotonic()
    with contextlib.suppress(Unreadable):
        mail = parse(HEAD + BOMBS[name])
        kind_of(mail)
        split_quoted(mail.text)
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize(
    ("text", "fresh"),
    [
        ("Yes.\n\nOn Mon, 1 Jan 2026 Ada wrote:\n> Really?\n> Ada", "Yes."),
        ("Ja.\n\nAm Montag schrieb Ada Lovelace\n<ada@example.org>:\n\n> Wirklich?", "Ja."),
        ("بله.\n\nدر تاریخ دوشنبه نوشت:\n> واقعاً؟", "بله."),
        ("好的。\n\n星期一写道：\n> 真的吗？", "好的。"),
        ("Fine.\n\n-----Original Message-----\nFrom: Ada <ada@example.org>\nSent: Monday\nTo: Bob\nSubject: Hi\n\nText",
         "Fine."),
        ("Fine.\n\n________________________________\nVon: Ada <ada@example.org>\nGesendet: Montag\nAn: Bob\n\nText",
         "Fine."),
        ("> Really?\nYes.\n> Sure?\nYes.", None),
        ("Name: Ada\nCity: London\nhttp://example.org", None),
        ("> only a quote", None),
    ],
)  # fmt: skip
def test_what_is_new_stands_apart_from_what_is_quoted(text, fresh):
    assert split_quoted(text)[0] == (fresh or text)
