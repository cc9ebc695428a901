"""What kind of mail it is: written by somebody, an automatic answer, a newsletter, a report on one that we sent.

Reports in the standard form (RFC 3464, RFC 5965) are read as such. The others are told by who sent them and by the
reply codes in their text, which are standard too. What a reader would not call a report is never taken for one.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Literal

from rapport_email.charsets import decode
from rapport_email.parsing import Mail, addresses, charset_of, content, header, message_ids, payload_of, walk

Kind = Literal["personal", "automatic", "list", "bounce", "complaint"]
MAX_REPORT = 200_000
"""So much of a report's text is looked at."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says of one recipient."""

    recipient: str
    status: str
    """The enhanced status code, 5.1.1; empty where the report has none."""
    hard: bool
    """Whether it makes no sense to try the address again."""
    reason: str
    original_id: str
    """The Message-ID of the mail it is about; empty where the report does not say."""
    delivered: bool = False
    complaint: bool = False


def _any(*patterns: str) -> re.Pattern[str]:
    """One pattern of many, in whatever case."""
    return re.compile("|".join(patterns), re.IGNORECASE)


_DAEMON = re.compile(
    r"^(mailer[-_.]?daemon|postmaster|mail[-_.]?(delivery|administrator|admin)|mdaemon|bounce|majordomo"
    r"|microsoftexchange[0-9a-f]*|mmdf|uucp)\b",
    re.IGNORECASE,
)
_DAEMON_NAME = _any(r"mail(er)?[- ]?(delivery|daemon|administrator)", r"postmaster", r"delivery (sub)?system")
_SUBJECT = _any(
    r"undeliver", r"delivery (status|fail|report|notif|problem|has failed|error|unsuccessful)",
    r"returned (mail|to sender)", r"(mail|message|e-mail) (delivery )?(failed|failure|system error|could not)",
    r"(mail|message|e-mail) (delivery )?(not delivered|returned|bounce)", r"failure (notice|delivery)",
    r"delivery failure", r"non[- ]?deliver", r"unzustellbar", r"nicht zustellbar", r"non remis", r"no entregado",
    r"non recapitabile", r"could not send message", r"warning: (message|could not)", r"bounce notification",
    r"rejected", r"mail error", r"delayed mail", r"returning message", r"dsn:", r"message status",
    r"unable to deliver", r"配信", r"不達", r"送信",
)  # fmt: skip
_AUTOMATIC = re.compile(
    r"^\s*(re: )?(auto(matic|mated|matisch\w*)?[ -:]*(re(ply|sponse|spond\w*)|answer|antwort)|out of (the )?office"
    r"|vacation|away from|abwesen|absence|réponse automatique|respuesta automática|risposta automatica"
    r"|自動(返信|応答|回复)|自动回复|מענה אוטומטי|پاسخ خودکار)",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_CODE = re.compile(r"(?:^|[\s:<(#>])([45][0-7]\d)(?=[ -])")
_ADDRESS = re.compile(r"[\w.+\-/=&'!%]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){0,8}", re.ASCII)
_NO_SUCH = _any(
    r"(user|recipient|mailbox|account|address|alias|domain|host|person|ユーザ)\S*( name)?( is| was|was)?( an?)?"
    r" ?(unknown|not (found|exist|known|valid|listed|available|active)|does ?n[o']t exist|unavailable|invalid|disabled"
    r"|rejected|inactive|no longer)",
    r"unknown (user|recipient|mailbox|address|host|domain|alias|local)",
    r"no such (user|person|mailbox|domain|recipient|address|host)",
    r"(invalid|bad|illegal) (recipient|mailbox|address|destination)", r"unrouteable",
    r"host (or domain name )?not found", r"does(n't| not) have an? \S{1,40} account",
    r"(account|user|recipient|mailbox|address)[^.\n]{0,60} does(n't| not) exist", r"unknown e-?mail",
    r"destinataire invalide", r"user doesn", r"no mailbox", r"not a (valid|known)", r"domain name not found",
    r"存在しません", r"見つかりません",
)  # fmt: skip
_FULL = _any(r"(mailbox|quota)[^.\n]{0,40}(full|exceed)", r"quota exceeded")
_FOR_NOW = _any(
    r"(mailbox|quota|storage|disk|inbox)[^.\n]{0,40}(full|exceed|limit)", r"over ?quota", r"quota exceeded",
    r"try (again )?later", r"temporar", r"timed? ?out", r"too (many|large|big)", r"greylist",
    r"will (keep|be retried|retry)", r"delayed", r"has not (yet )?been (delivered|able)",
    r"still (trying|attempting)", r"connection refused", r"message size", r"exceeds? (the |size|max)",
    r"メールボックス", r"容量",
)  # fmt: skip
_ORIGINAL = re.compile(
    r"^[ >\t]{0,40}(-{2,80}.{0,60}(original|copy|returned|below|bounced|unsent|message).{0,80}"
    r"|bounced e-mail:.*|received: .*|return-path: .*|from: .*|message-id: .*)$",
    re.IGNORECASE | re.MULTILINE,
)
_ORIGINAL_ID = re.compile(r"(?im)^[ >]{0,40}message-id:\s*<([^<>\s]{1,400})>")
_ABOUT_US = _any(
    r"black ?list", r"block ?list", r"\bblocked\b", r"\bspf\b", r"dkim", r"dmarc", r"reverse dns", r"\bptr\b",
    r"reputation", r"\bspam", r"\bpolicy\b", r"not allowed to send", r"unauthenticated", r"sender (address|domain)",
    r"too many (hops|connections)", r"relay",
)  # fmt: skip
"""What speaks of the one who sends: the address may be as good as ever."""
_REASON_ENDS = 300


def kind_of(mail: Mail) -> Kind:
    """What kind of mail it is. Only a personal one may ever be answered by a machine."""
    found = reports(mail)
    if any(each.complaint for each in found):
        return "complaint"
    if found:
        return "bounce"
    return _other_kind(mail)


def _other_kind(mail: Mail) -> Kind:
    said = mail.header("Auto-Submitted").partition(";")[0].strip().lower()
    if (
        (said and said != "no")
        or mail.header("X-Autoreply")
        or mail.header("X-Autorespond")
        or (mail.header("X-Auto-Response-Suppress") in {"All", "OOF"} and _AUTOMATIC.search(mail.subject))
    ):
        return "automatic"
    if _AUTOMATIC.search(mail.subject) or mail.message.get_content_type() == "multipart/report":
        return "automatic"  # also a receipt that a mail was read
    if mail.header("Return-Path").strip() == "<>" or _from_daemon(mail):
        return "automatic"
    precedence = mail.header("Precedence").strip().lower()
    if precedence == "auto_reply":
        return "automatic"
    if (
        mail.header("List-Id")
        or mail.header("List-Unsubscribe")
        or mail.header("List-Post")
        or precedence in {"bulk", "list", "junk"}
    ):
        return "list"
    return "personal"


def reports(mail: Mail) -> list[Report]:
    """What a mail reports about others that were sent; empty for every mail that is no report."""
    complaints = list(_feedback(mail))
    if complaints:
        return complaints
    standard = _status_reports(mail)
    if standard:
        return standard
    return _told_in_words(mail)


# In the standard form ------------------------------------------------------------------------------------------------


def _feedback(mail: Mail) -> Iterator[Report]:
    """RFC 5965: somebody pressed the button that says "this is spam". One large provider has a form of its own."""
    own_form = _original(mail.message)
    if own_form is not None and "X-HmXmrOriginalRecipient" in own_form and "complaint" in mail.subject:
        to = _typed(header(own_form, "X-HmXmrOriginalRecipient"))
        about = _original_id(mail, own_form)
        yield Report(to[0] if to else "", "", hard=True, reason="marked as abuse", original_id=about, complaint=True)
        return
    for part, _depth in walk(mail.message):
        if part.get_content_type() != "message/feedback-report":
            continue
        fields = _fields(part)
        kind = header(fields, "Feedback-Type").lower() or "abuse"
        if kind in {"not-spam", "auth-failure"}:
            continue
        original = _original(mail.message)
        to = [each.email for each in addresses(original, "To")] if original is not None else []
        recipients = [*_typed(header(fields, "Original-Rcpt-To")), *_typed(header(fields, "Removal-Recipient")), *to]
        yield Report(
            recipients[0] if recipients else "", "", hard=True, reason=f"marked as {kind}",
            original_id=_original_id(mail, original), complaint=True,
        )  # fmt: skip


def _status_reports(mail: Mail) -> list[Report]:
    """RFC 3464: one block of fields about the mail, then one about each recipient."""
    found: list[Report] = []
    for part, depth in walk(mail.message):
        if part.get_content_type() not in {"message/delivery-status", "message/global-delivery-status"} or depth > 2:
            continue
        original = _original(mail.message)
        for fields in _blocks(part):
            action = header(fields, "Action").partition(" ")[0].lower().strip(";")
            recipients = _typed(header(fields, "Final-Recipient")) or _typed(header(fields, "Original-Recipient"))
            original_recipient = _typed(header(fields, "Original-Recipient")) or _typed(
                header(fields, "X-Actual-Recipient")
            )
            if not recipients and not action:
                continue
            reason = header(fields, "Diagnostic-Code").partition(";")[2].strip() or header(fields, "Diagnostic-Code")
            status = status_in(header(fields, "Status")) or status_in(reason)
            to = original_recipient or recipients or _stated(mail)
            delivered = action in {"delivered", "relayed", "expanded"}
            if not to and not status:
                continue
            found.append(Report(
                to[0] if to else "", status, delivered=delivered,
                hard=not delivered and action not in {"delayed"} and is_hard(status, reason or mail.text),
                reason=(reason or header(fields, "Status") or action)[:_REASON_ENDS],
                original_id=_original_id(mail, original),
            ))  # fmt: skip
    return found


def _blocks(part: Message) -> list[Message]:
    payload = payload_of(part)
    if isinstance(payload, list):
        return [each for each in payload if isinstance(each, Message)]
    text = decode(content(part)[:MAX_REPORT], charset_of(part))
    return [email.message_from_string(each) for each in re.split(r"\n\s*\n", text.replace("\r\n", "\n"))]


def _fields(part: Message) -> Message:
    blocks = _blocks(part)
    if not blocks:
        return Message()
    first = blocks[0]
    if not first.keys():
        first = email.message_from_string(str(payload_of(first)))
    return first


def _typed(value: str) -> list[str]:
    """The address in `rfc822; somebody@example.org`."""
    return [each.lower() for each in _ADDRESS.findall(value.rpartition(";")[2] or value)][:1]


# In words ------------------------------------------------------------------------------------------------------------


def _told_in_words(mail: Mail) -> list[Report]:
    """A report in no standard form: from a mail server, about a mail, with a recipient and a reason."""
    failed = [
        address for each in mail.message.get_all("X-Failed-Recipients", []) for address in _ADDRESS.findall(str(each))
    ]
    automatic = mail.header("Return-Path").strip() in {"<>", "MAILER-DAEMON", "<MAILER-DAEMON>"} or _from_daemon(mail)
    subject = bool(_SUBJECT.search(mail.subject))
    if not failed and not (automatic and (subject or _names_failure(mail))) and not (subject and _has_report(mail)):
        return []
    if _AUTOMATIC.search(mail.subject) and not failed:
        return []
    original = _original(mail.message)
    told = (mail.text or "")[:MAX_REPORT]
    found = _ORIGINAL.search(told)
    before, after = (told[: found.start()], told[found.start() :]) if found else (told, "")
    recipients = failed or _stated(mail, before)
    if not recipients and original is not None:
        recipients = [each.email for each in addresses(original, "To")]
    if not recipients:
        recipients = [each.lower() for each in _ADDRESS.findall(after) if each.lower() != mail.sender.email][:1]
    status = status_in(before) or _code_of(before)
    if not recipients or not (status or _NO_SUCH.search(before) or _FOR_NOW.search(before) or failed or subject):
        return []
    hard = is_hard(status, before)
    about = _original_id(mail, original) or (_ORIGINAL_ID.findall(after) or [""])[0]
    reason = _line_with(before, status, recipients[0])
    return [Report(each.lower(), status, hard, reason, about) for each in dict.fromkeys(recipients[:20])]


def _from_daemon(mail: Mail) -> bool:
    local = mail.sender.email.partition("@")[0]
    written = local or mail.header("From")
    return bool(_DAEMON.search(written) or (_DAEMON_NAME.search(mail.sender.name or mail.header("From"))))


def _names_failure(mail: Mail) -> bool:
    text = mail.text[:5000]
    return bool(_STATUS.search(text) or _NO_SUCH.search(text) or _FOR_NOW.search(text) or _CODE.search(text))


def _has_report(mail: Mail) -> bool:
    """Whether a mail that is called a report also says of whom and why, in the words of servers."""
    text = mail.text[:5000]
    return _original(mail.message) is not None and bool(
        _STATUS.search(text) or _CODE.search(text) or _NO_SUCH.search(text)
    )


def _stated(mail: Mail, text: str | None = None) -> list[str]:
    """The addresses that a report names, without its own and those it went to."""
    own = {mail.sender.email, *(each.email for each in mail.recipients)}
    found = [each.lower() for each in _ADDRESS.findall((mail.text if text is None else text)[:MAX_REPORT])]
    return [each for each in dict.fromkeys(found) if each not in own and not _DAEMON.search(each)][:1]


def status_in(text: str) -> str:
    codes = [match for match in _STATUS.finditer(text[:MAX_REPORT]) if match[1] in "245"]
    specific = [each[0] for each in codes if each[0] not in {"5.0.0", "4.0.0"}]
    return (specific or [each[0] for each in codes] or [""])[0]


def _code_of(text: str) -> str:
    """An SMTP reply code as a status without details."""
    found = _CODE.search(text[:MAX_REPORT])
    if found is None:
        return ""
    return f"{found[1][0]}.1.1" if found[1] == "550" and _NO_SUCH.search(text) else f"{found[1][0]}.0.0"


def is_hard(status: str, text: str) -> bool:
    """Hard is what will not change: there is no such address. A full mailbox or refused content does not tell."""
    if status.startswith("4") or (_ABOUT_US.search(text[:1000]) and not _NO_SUCH.search(text[:1000])):
        return False
    if status.startswith(("5.1.", "5.2.1", "5.4.4")) or status in {"5.4.1", "5.7.51"}:
        return status not in {"5.1.7", "5.1.8"}  # those two are about the sender
    if status.startswith(("5.2.", "5.3.", "5.4.", "5.5.", "5.6.", "5.7.")):
        return bool(_NO_SUCH.search(text)) and not _FOR_NOW.search(text)
    return bool(_NO_SUCH.search(text)) and not _FULL.search(text)


def _line_with(text: str, status: str, recipient: str) -> str:
    """The line of a report that tells best why."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    for wanted in (status, recipient):
        for line in lines:
            if wanted and wanted in line and len(line) > len(wanted) + 10:
                return line[:_REASON_ENDS]
    for line in lines:
        if _NO_SUCH.search(line) or _FOR_NOW.search(line) or _CODE.search(line):
            return line[:_REASON_ENDS]
    return lines[0][:_REASON_ENDS] if lines else ""


# The mail it is about ------------------------------------------------------------------------------------------------


def _original(message: Message) -> Message | None:
    """The mail, or its headers, that a report brings back."""
    for part, depth in walk(message):
        kind = part.get_content_type()
        payload = payload_of(part)
        if depth == 0:
            continue
        if kind in {"message/rfc822", "message/global"} and isinstance(payload, list) and payload:
            inner = payload[0]
            return inner if isinstance(inner, Message) else None
        if kind in {"text/rfc822-headers", "message/rfc822-headers", "message/global-headers"}:
            return email.message_from_string(decode(content(part)[:MAX_REPORT], charset_of(part)))
    return None


def _original_id(mail: Mail, original: Message | None) -> str:
    if original is not None and (ids := message_ids(header(original, "Message-ID"))):
        return ids[0]
    return mail.ancestors[0] if mail.ancestors else ""
