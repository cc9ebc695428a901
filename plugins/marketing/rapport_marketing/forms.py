"""Forms on the web: what strangers fill in, confirmed by a mail, without spam, with proof of what they agreed to."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer
from sqlalchemy import delete, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Choice,
    Consent,
    Customer,
    Entity,
    Field,
    Invalid,
    JobContext,
    Owned,
    Problem,
    Purpose,
    Site,
    Unit,
    enqueue_mail,
    field,
    find_duplicates,
    ref,
    utcnow,
)
from rapport import gettext as _
from rapport_marketing import hookspecs
from rapport_marketing.campaigns import Campaign, Response
from rapport_marketing.common import WORK
from rapport_marketing.lists import CustomerList, put_on_list

PAGE = "/marketing/form/"
ALLOWED = ("name", "given_name", "family_name", "email", "phone", "organisation", "job_title", "street", "postcode",
           "city", "country", "message")  # fmt: skip
"""What a form may ask for. Whatever else a page sends is not looked at."""
ADDRESS = ("street", "postcode", "city", "country")
LONGEST = 24 * 3600
"""So many seconds a form may stay open before it is sent."""
CONFIRM_DAYS = 14
SURE = 99
"""From this score on `find_duplicates` goes by the address, not by the name."""
SCOPED = {"rapport_scoped": True}


class Form(
    Owned, Entity, name="marketing.form", title="Web form", plural="Web forms", icon="forms", roles=WORK,
    display="title",
):  # fmt: skip
    """A form for the web: what it asks for, what people agree to, and what becomes of them."""

    title: Mapped[str] = field(label="Title", searchable=True, in_list=True)
    slug: Mapped[str] = field(
        label="Address", unique=True, default="", in_list=True, max_length=80,
        help="The last part of its address: small letters, digits and hyphens. Left empty, it is made from the title.",
    )  # fmt: skip
    active: Mapped[bool] = field(label="Open", default=True, in_list=True)
    text: Mapped[str] = field(label="Words above it", kind="longtext", default="")
    fields: Mapped[tuple[str, ...]] = field(
        label="Asks for", kind="tags", default=("name", "email"), help=f"In this order, out of: {', '.join(ALLOWED)}."
    )
    thanks: Mapped[str] = field(label="Words of thanks", kind="longtext", default="")
    asks_consent: Mapped[bool] = field(label="Asks for consent", default=True, section="Consent")
    purpose: Mapped[str] = field(
        label="They agree to", default="marketing", section="Consent", help="The short name of a purpose."
    )
    consent_text: Mapped[str] = field(
        label="Words they agree to", kind="longtext", default="", section="Consent",
        help="Kept with each consent, as its proof.",
    )  # fmt: skip
    double_opt_in: Mapped[bool] = field(
        label="Confirm by mail", default=True, section="Consent",
        help="Nothing happens until they press the button that a mailed link leads to.",
    )  # fmt: skip
    campaign_id: Mapped[UUID | None] = ref("marketing.campaign", label="Campaign", in_list=True, section="What follows")
    list_id: Mapped[UUID | None] = ref("marketing.list", label="Put them on the list", section="What follows")
    tags: Mapped[tuple[str, ...]] = field(label="Tag them", kind="tags", section="What follows")
    embedded_at: Mapped[str] = field(
        label="Embedded on", default="", section="Where it stands",
        help="Other websites that may show it, such as https://www.example.com. Left empty: none.",
    )  # fmt: skip

    def prepare(self) -> None:
        """An address is one plain word."""
        plain = re.sub(r"[^a-z0-9]+", "-", (self.slug or self.title or "").lower()).strip("-")[:80]
        self.slug = plain or secrets.token_hex(4)

    def complete(self, session: Session) -> None:
        """A purpose is one that there is."""
        self._fault = ""
        if self.asks_consent and session.scalar(select(Purpose.id).where(Purpose.name == self.purpose)) is None:
            self._fault = _("names '%(name)s', which is no purpose.", name=self.purpose)

    def validate(self) -> Sequence[Problem]:
        """It asks for an address, for nothing else than it may, and says what people agree to."""
        problems = []
        if odd := [each for each in self.fields if each not in ALLOWED]:
            known = ", ".join(ALLOWED)
            problems.append(Problem("fields", _("has '%(name)s'. Known: %(known)s.", name=odd[0], known=known)))
        if "email" not in self.fields:
            problems.append(Problem("fields", _("must have email: that is how one knows who it is.")))
        if self._fault:
            problems.append(Problem("purpose", self._fault))
        if self.asks_consent and not self.consent_text:
            problems.append(Problem("consent_text", _("is missing. Say what people agree to.")))
        if odd := [each for each in self.embedded_at.split() if not re.fullmatch(r"https?://[\w.:-]+", each)]:
            problems.append(Problem("embedded_at", _("must be like https://www.example.com, not '%(it)s'.", it=odd[0])))
        return problems


class Submission(
    Entity, name="marketing.submission", title="Filled-in form", plural="Filled-in forms", icon="clipboard-text",
    roles={"manager": "read delete export", "member": "read", "viewer": "read"}, display="email",
):  # fmt: skip
    """What somebody filled in, and whether they confirmed it. What nobody confirms is forgotten."""

    past_log = True  # what nobody confirmed is forgotten all at once

    form_id: Mapped[UUID] = ref("marketing.form", label="Form", readonly=True, in_list=True)
    email: Mapped[str] = field(label="E-mail", kind="email", readonly=True, in_list=True)
    values: Mapped[dict[str, Any]] = field(label="Filled in", kind="json", default=dict, readonly=True)
    state: Mapped[str] = field(
        label="State",
        choices=[Choice("waiting", "Waits for confirmation", "yellow"), Choice("confirmed", "Confirmed", "green")],
        default="waiting", readonly=True, in_list=True,
    )  # fmt: skip
    at: Mapped[dt.datetime] = field(label="When", default=utcnow, readonly=True, in_list=True)
    confirmed_at: Mapped[dt.datetime | None] = field(label="Confirmed", readonly=True, in_list=True)
    customer_id: Mapped[UUID | None] = ref("customer", on_delete="CASCADE", readonly=True, in_list=True)
    agreed: Mapped[str] = field(label="Words they agreed to", kind="longtext", default="", readonly=True)
    proof: Mapped[str] = field(label="Proof", default="", readonly=True)
    token: Mapped[str] = field(secret=True, readonly=True, unique=True)


# What a page asks for ------------------------------------------------------------------------------------------------


def questions(form: Form) -> list[Field]:
    """The fields of a form as its page shows them."""
    own = {
        "organisation": Field("organisation", "Organisation", "text", max_length=200),
        "street": Field("street", "Street", "text", max_length=200),
        "postcode": Field("postcode", "Postcode", "text", max_length=40),
        "city": Field("city", "City", "text", max_length=120),
        "country": Field("country", "Country", "text", max_length=120),
        "message": Field("message", "Your message", "longtext", max_length=4000),
    }
    found = []
    for name in dict.fromkeys(form.fields):
        known = own.get(name) or replace(
            Customer.meta.fields[name], help=None, max_length=200, default=None, nullable=True
        )
        found.append(replace(known, required=name == "email"))
    return found


def read(form: Form, typed: Mapping[str, str]) -> dict[str, Any]:
    """What was filled in, of what was asked for. Invalid names every field that is wrong."""
    values: dict[str, Any] = {}
    problems = []
    for each in questions(form):
        try:
            value = each.load((typed.get(each.name) or "").strip())
        except ValueError as error:
            problems.append(Problem(each.name, str(error)))
            continue
        if value:
            values[each.name] = value
    if problems:
        raise Invalid(problems)
    return values


# Spam ----------------------------------------------------------------------------------------------------------------


def new_token(site: Site, form: Form) -> str:
    """What a page carries: which form it is, when it was opened, and a word that is good once."""
    return str(_pages(site).dumps([form.id.hex, secrets.token_urlsafe(12)]))


@dataclass(frozen=True, slots=True)
class Opened:
    """When a page was opened, and its word."""

    word: str
    seconds: float


def opened(site: Site, form: Form, token: str) -> Opened | None:
    """What a page carried; None when we did not make it, for this form, and not too long ago."""
    try:
        (form_id, word), made = _pages(site).loads(token, max_age=LONGEST, return_timestamp=True)
    except (BadSignature, ValueError, TypeError):
        return None
    if form_id != form.id.hex:
        return None
    return Opened(word, (dt.datetime.now(dt.UTC) - made).total_seconds())


def _pages(site: Site) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(site.config.secret_key, salt="marketing-form")


# Taking in -----------------------------------------------------------------------------------------------------------


def take(unit: Unit, form: Form, values: Mapping[str, Any], word: str, proof: str) -> Submission:
    """Keep what was filled in. With confirmation by mail nothing else happens yet; otherwise all of it does."""
    submission = Submission(form_id=form.id, email=values["email"], values=dict(values), token=word,
                            agreed=form.consent_text if form.asks_consent else "", proof=proof[:500])  # fmt: skip
    unit.session.add(submission)
    unit.flush()
    if form.double_opt_in:
        _mail_link(unit, form, submission)
    else:
        confirm(unit, form, submission, proof)
    return submission


def _mail_link(unit: Unit, form: Form, submission: Submission) -> None:
    """Ask whoever has the address whether it was them. It is the only thing that is sent to them."""
    site = unit.site
    link = f"{site.config.base_url.rstrip('/')}{PAGE}confirm/{_links(site).dumps(submission.id.hex)}"
    text = _("Somebody filled in “%(title)s” with this address. If it was you, open this link and press the button:\n\n"
             "%(link)s\n\nIf it was not you, do nothing: we forget it.", title=form.title, link=link)  # fmt: skip
    enqueue_mail(site, unit.session.connection(), to=submission.email,
                 subject=_("Please confirm: %(title)s", title=form.title), text=text)  # fmt: skip


def submission_of(site: Site, token: str) -> UUID | None:
    """What a mailed link confirms; None for a link that we did not make."""
    try:
        return UUID(_links(site).loads(token))
    except (BadSignature, TypeError, ValueError, AttributeError):
        return None


def _links(site: Site) -> URLSafeSerializer:
    return URLSafeSerializer(site.config.secret_key, salt="marketing-confirm")


def confirm(unit: Unit, form: Form, submission: Submission, proof: str) -> Customer:
    """It was them: they become a customer, or are found to be one, and what they agreed to is noted with its proof."""
    customer = _known(unit, submission.email) or _new(unit, form, submission)
    submission.state, submission.confirmed_at, submission.customer_id = "confirmed", utcnow(), customer.id
    if form.asks_consent:
        _agree(unit, form, submission, customer, proof)
    if form.list_id is not None:
        put_on_list(unit, unit.get(CustomerList, form.list_id), [customer.id])
    if form.campaign_id is not None:
        unit.create(Response, {"campaign_id": form.campaign_id, "customer_id": customer.id, "kind": "form",
                               "note": str(submission.values.get("message", ""))})  # fmt: skip
    unit.flush()
    campaign = unit.session.get(Campaign, form.campaign_id) if form.campaign_id is not None else None
    unit.site.hooks.run(hookspecs.apply_marketing_submission, submission=submission, customer=customer,
                        campaign=campaign.code if campaign is not None else "", session=unit.session)  # fmt: skip
    return customer


def _known(unit: Unit, email: str) -> Customer | None:
    """A customer with this address: a stranger on the web finds them, and changes nothing of them."""
    matches = [match.id for match in find_duplicates(unit.reader, {"email": email}) if match.score >= SURE]
    found = unit.reader.all(Customer, Customer.id.in_(matches), Customer.archived_at.is_(None), limit=1)
    return found[0] if found else None


def _new(unit: Unit, form: Form, submission: Submission) -> Customer:
    values = dict(submission.values)
    facts = {name: values[name] for name in ("name", "given_name", "family_name", "email", "phone", "job_title")
             if values.get(name)}  # fmt: skip
    if not any(facts.get(name) for name in ("name", "given_name", "family_name")):
        facts["name"] = submission.email
    address = {part: values[part] for part in ADDRESS if values.get(part)}
    firm = f"{values['organisation']}" if values.get("organisation") else ""
    return unit.create(Customer, {
        **facts, "address": address, "source": form.title, "tags": list(form.tags), "note": firm,
        "owner_id": form.owner_id, "team_id": form.team_id,
    })  # fmt: skip


def _agree(unit: Unit, form: Form, submission: Submission, customer: Customer, proof: str) -> None:
    purpose = unit.session.scalar(select(Purpose.id).where(Purpose.name == form.purpose), execution_options=SCOPED)
    if purpose is None:
        return
    filled = _(
        "Filled in %(when)s: %(proof)s", when=submission.at.isoformat(timespec="seconds"), proof=submission.proof
    )
    lines = [submission.agreed, filled]
    if form.double_opt_in:
        lines.append(_("Confirmed %(when)s: %(proof)s", when=utcnow().isoformat(timespec="seconds"), proof=proof))
    unit.session.add(Consent(customer_id=customer.id, purpose_id=purpose, state="granted", at=utcnow(),
                             given_by="form", source=form.title, proof="\n".join(lines)))  # fmt: skip


def forget_unconfirmed(context: JobContext) -> str:
    """Forget what nobody confirmed in time."""
    with context.site.write(context.actor) as unit:
        late = (Submission.state == "waiting", Submission.at < utcnow() - dt.timedelta(days=CONFIRM_DAYS))
        gone = unit.session.connection().execute(delete(Submission).where(*late)).rowcount
        context.finish_in(unit.session.connection())
    return _("%(num)s were forgotten.", num=gone)
