"""The figures of e-mail that can be asked for by any dimension: what comes in, and what does not arrive."""

from __future__ import annotations

from rapport import Dimension, Measure

MAIL, NOTICE = "email.mail", "email.notice"
IN, OUT = 'interaction.direction = "in"', 'interaction.direction = "out"'


def measures() -> list[Measure]:
    """Every figure of e-mail."""
    return [
        Measure("email.received", "Mails received", of=MAIL, at="interaction.at", filter=IN),
        Measure("email.sent", "Mails sent", of=MAIL, at="interaction.at", filter=OUT),
        Measure("email.bounces", "Mails that did not arrive", of=NOTICE, at="at", filter='kind = "bounce"',
                better="down"),
        Measure("email.complaints", "Reported as unwanted", of=NOTICE, at="at", filter='kind = "complaint"',
                better="down"),
    ]  # fmt: skip


def dimensions() -> list[Dimension]:
    """What is told apart in e-mail."""
    return [
        Dimension("email.kind", "Kind of mail", of=MAIL, value="kind"),
        Dimension("email.account", "E-mail account", of="email.account", value="id"),
        Dimension("email.notice_kind", "Kind of notice", of=NOTICE, value="kind"),
    ]
