"""The pages of e-mail: writing, what waits for an answer, how a mail looked, and how an account fares."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from rapport import (
    Attachment,
    ContactPoint,
    Customer,
    Formats,
    Interaction,
    Invalid,
    Participant,
    Problem,
    Purpose,
    Reader,
    User,
    gettext,
    open_file,
    send,
    split_quoted,
    store,
    use_language,
)
from rapport.http import current_actor, current_site, needs
from rapport_email import imap, inbox, smtp, writing
from rapport_email.channel import NAME, preferred
from rapport_email.channel import server_of as way_out
from rapport_email.cleaning import FRAME_POLICY, TooSlow, framed, has_pictures_outside
from rapport_email.composing import quoted
from rapport_email.entities import Account, Mail, Picture, Template
from rapport_email.inbox import bare_subject
from rapport_email.inbox import server_of as way_in
from rapport_email.parsing import Part
from rapport_email.secrets import Locked, seal

MAX_FILES = 20
PAGE = 30


def make_blueprint() -> Blueprint:
    """All pages below /email/."""
    pages = Blueprint("email", __name__)
    for rule, view, methods in (
        ("write", write, ["GET", "POST"]),
        ("fill", filled, ["GET"]),
        ("waiting", waiting, ["GET"]),
        ("mail/<uuid:interaction_id>/settle", settle, ["POST"]),
        ("mail/<uuid:interaction_id>/page", page_of_mail, ["GET"]),
        ("account/<uuid:account_id>/try", try_account, ["POST"]),
        ("account/<uuid:account_id>/fetch", fetch_account, ["POST"]),
        ("account/<uuid:account_id>/own", own_account, ["POST"]),
        ("template/<uuid:template_id>/preview", preview, ["GET"]),
    ):
        pages.add_url_rule(f"/email/{rule}", view_func=view, methods=methods)
    return pages


# Writing -------------------------------------------------------------------------------------------------------------


@dataclass
class Draft:
    """A mail that is being written, as the form shows it."""

    customer: Customer
    answers: Interaction | None = None
    forwards: Interaction | None = None
    to: list[tuple[UUID, str]] = field(default_factory=list)
    """Customers and their addresses, those that are chosen first."""
    chosen: set[str] = field(default_factory=set)
    subject: str = ""
    body: str = ""
    purpose: str = "service"
    account: str = ""
    kept: list[Any] = field(default_factory=list)
    """Files that go along: those of a mail that is passed on, and those that were uploaded before an error."""


@needs("message.create")
def write() -> BaseResponse | str | tuple[str, int]:
    """Write to a customer: a new mail, an answer to one or to all, or a mail passed on."""
    with current_site().read(current_actor()) as reader:
        draft = _draft(reader)
        if draft is None:
            return render_template("email/whom.html")
        facts = _choices(reader, draft)
    if request.method == "GET":
        return render_template("email/write.html", draft=draft, errors={}, **facts)
    form = request.form
    draft.subject, draft.body = form.get("subject", ""), form.get("body", "").replace("\r\n", "\n")
    draft.purpose, draft.account = form.get("purpose", ""), form.get("account", "")
    draft.chosen = set(form.getlist("to"))
    try:
        files = _files(draft)
        said = _send(draft, files)
    except Invalid as error:
        errors: dict[str, list[str]] = {}
        for each in error.problems:
            errors.setdefault(each.field if each.field in {"subject", "body", "to"} else "", []).append(each.message)
        return render_template("email/write.html", draft=draft, errors=errors, **facts), 422
    refused = [message for message in said if message.state == "refused"]
    if refused:
        errors = {"": list(dict.fromkeys(f"{each.address}: {each.reason}" for each in refused))}
        if len(refused) < len(said):
            errors[""].append(gettext("The others get it."))
            draft.chosen = {f"{each.customer_id}:{each.address}" for each in refused}
        return render_template("email/write.html", draft=draft, errors=errors, **facts), 422
    return redirect(f"/customer/{draft.customer.id}")


def _draft(reader: Reader) -> Draft | None:
    """What the form begins with; None where nobody said yet to whom."""
    given = request.values
    answers = _interaction(reader, given.get("reply_to", ""))
    forwards = _interaction(reader, given.get("forward", ""))
    earlier = answers or forwards
    customer_id = _uuid(given.get("customer_id", "")) or (earlier.customer_id if earlier is not None else None)
    if customer_id is None:
        return None
    customer = reader.get(Customer, customer_id)
    draft = Draft(customer, answers, forwards)
    draft.account = _account_of(reader, answers)
    if answers is not None:
        draft.to = _everybody(reader, answers)
        everybody = given.get("all") == "1"
        draft.chosen = {f"{who}:{address}" for who, address in (draft.to if everybody else draft.to[:1])}
        bare = answers.subject if bare_subject(answers.subject) == answers.subject.casefold() else ""
        draft.subject = f"Re: {bare}" if bare else answers.subject
    else:
        draft.to = [(customer.id, each) for each in _addresses(reader, customer)]
        draft.chosen = {f"{who}:{address}" for who, address in draft.to[:1]}
        draft.subject = f"Fwd: {forwards.subject}" if forwards is not None else ""
    signature = _signature(reader, draft.account)
    draft.body = f"\n\n{signature}" if signature else ""
    if earlier is not None:
        draft.body += f"\n\n{_quoted(earlier, reader)}"
    if forwards is not None:
        draft.kept = reader.all(Attachment, Attachment.interaction_id == forwards.id, limit=MAX_FILES)
    return draft


def _interaction(reader: Reader, text: str) -> Interaction | None:
    found = _uuid(text)
    return reader.get(Interaction, found) if found is not None else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _addresses(reader: Reader, customer: Customer) -> list[str]:
    more = reader.all(ContactPoint, ContactPoint.customer_id == customer.id, ContactPoint.kind == "email",
                      ContactPoint.archived_at.is_(None))  # fmt: skip
    return list(dict.fromkeys(each for each in [customer.email, *(point.value for point in more)] if each))


def _everybody(reader: Reader, interaction: Interaction) -> list[tuple[UUID, str]]:
    """Whom an answer can go to: whoever wrote, where they asked for answers, then the other customers in the mail."""
    people = reader.all(Participant, Participant.interaction_id == interaction.id)
    mails = reader.all(Mail, Mail.interaction_id == interaction.id)
    customer = reader.get(Customer, interaction.customer_id)
    wrote = [each.address for each in people if each.role == "from"] if interaction.direction == "in" else []
    asked = [mails[0].reply_to] if mails and mails[0].reply_to else []
    first = [(customer.id, each) for each in [*asked, *wrote, *_addresses(reader, customer)] if each]
    others = [(each.customer_id, each.address) for each in people if each.customer_id is not None]
    kept: dict[str, UUID] = {}
    for who, address in [*first, *others]:
        if who is not None:
            kept.setdefault(address, who)
    return [(who, address) for address, who in kept.items()]


def _account_of(reader: Reader, answers: Interaction | None) -> str:
    """The account that a mail came to answers it."""
    accounts = _accounts(reader)
    if answers is not None:
        for each in accounts:
            if each.email == answers.source:
                return str(each.id)
    first = preferred(accounts, current_actor().id)
    return str(first.id) if first is not None else ""


def _accounts(reader: Reader) -> list[Account]:
    """The accounts that the signed-in person may send by."""
    me = current_actor().id
    found = reader.all(Account, Account.active.is_(True), Account.archived_at.is_(None), Account.smtp_host != "")
    return [each for each in found if each.shared or each.team_id is not None or each.owner_id in {None, me}]


def _signature(reader: Reader, account_id: str) -> str:
    return next((each.signature for each in _accounts(reader) if str(each.id) == account_id and each.signature), "")


def _quoted(earlier: Interaction, reader: Reader) -> str:
    customer = reader.get(Customer, earlier.customer_id)
    actor = current_actor()
    with use_language(customer.language or actor.language, ["rapport_email"]):
        when = Formats(customer.language or actor.language, actor.time_zone).instant(earlier.at)
        who = customer.name if earlier.direction == "in" else str(reader.site.settings.get("core.name"))
        return quoted(earlier.body, gettext("On %(when)s %(who)s wrote:", when=when, who=who))


def _choices(reader: Reader, draft: Draft) -> dict[str, Any]:
    templates = reader.all(Template, Template.archived_at.is_(None), order=(Template.title, Template.id), limit=200)
    language = draft.customer.language or ""
    templates.sort(key=lambda each: each.language != language)
    purposes = reader.all(Purpose, Purpose.archived_at.is_(None), order=(Purpose.position, Purpose.id))
    names = reader.titles(Customer, [who for who, _address in draft.to])
    return {
        "accounts": [(str(each.id), f"{each.name} <{each.email}>" if each.name else each.email)
                     for each in _accounts(reader)],
        "templates": [(str(each.id), f"{each.title} ({each.language})") for each in templates],
        "purposes": [(each.name, gettext(each.title)) for each in purposes],
        "others": [each.name for each in reader.site.channels if each.name != NAME],
        "recipients": [(f"{who}:{address}", names.get(who, address), address) for who, address in draft.to],
    }  # fmt: skip


def _files(draft: Draft) -> list[UUID]:
    """What goes along: uploads, and the chosen files of a mail that is passed on, as copies of our own."""
    site, actor = current_site(), current_actor()
    uploaded = [
        store(site, each.stream, each.filename, actor).id
        for each in request.files.getlist("files")[:MAX_FILES] if each.filename
    ]  # fmt: skip
    chosen = set(request.form.getlist("kept"))
    copies = []
    for each in draft.kept:
        if str(each.id) in chosen:
            with site.read(actor) as reader, open_file(reader, each, "file") as source:
                copies.append(store(site, source, each.name, actor).id)
    return [*copies, *uploaded]


def _send(draft: Draft, files: Sequence[UUID]) -> list[Any]:
    known = {f"{who}:{address}": (who, address) for who, address in draft.to}
    chosen = [known[each] for each in known if each in draft.chosen]
    if not chosen:
        raise Invalid(Problem("to", gettext("Choose whom to write to.")))
    with current_site().write(current_actor()) as unit:
        return [
            send(unit, channel=NAME, customer=who, address=address, purpose=draft.purpose, subject=draft.subject,
                 body=draft.body, attachments=files, account=draft.account, reply_to=draft.answers)
            for who, address in chosen
        ]  # fmt: skip


@needs("email.template.read")
def filled() -> Response | str:
    """A template filled in for a customer, into the form that is open."""
    found, customer_id = _uuid(request.args.get("template", "")), _uuid(request.args.get("customer_id", ""))
    if found is None or customer_id is None:
        return Response("", 204)
    with current_site().read(current_actor()) as reader:
        template = reader.get(Template, found)
        values = writing.values_for(reader, reader.get(Customer, customer_id), current_actor())
        signature = _signature(reader, request.args.get("account", ""))
    try:
        subject, body = writing.fill(template.subject, values), writing.fill(template.body, values)
    except writing.TemplateFault as fault:
        return render_template("email/_text.html", subject="", body="", fault=str(fault))
    body = f"{body}\n\n{signature}" if signature else body
    return render_template("email/_text.html", subject=subject, body=body, fault="", purpose=template.purpose)


# What waits for an answer --------------------------------------------------------------------------------------------


@needs("email.mail.read")
def waiting() -> str:
    """Mails that nobody has answered yet, the oldest first: the one who waits longest comes first."""
    after = _uuid(request.args.get("after", ""))
    mine = request.args.get("mine") == "1"
    me = current_actor().id
    statement = (
        select(Mail, Interaction)
        .join(Interaction, Interaction.id == Mail.interaction_id)
        .where(Mail.open.is_(True), Interaction.archived_at.is_(None))
        .order_by(Mail.id).limit(PAGE + 1)
    )  # fmt: skip
    if after is not None:
        statement = statement.where(Mail.id > after)
    if mine:
        statement = statement.where(Interaction.owner_id == me)
    with current_site().read(current_actor()) as reader:
        rows = reader.session.execute(statement).all()
        names = reader.titles(Customer, [row[1].customer_id for row in rows])
        people = reader.titles(User, [row[1].owner_id for row in rows])
        items: list[dict[str, Any]] = [
            {"mail": mail, "talk": talk, "customer": names.get(talk.customer_id, ""),
             "owner": people.get(talk.owner_id or talk.id, ""), "text": split_quoted(talk.body)[0][:200]}
            for mail, talk in rows[:PAGE]
        ]  # fmt: skip
    more = f"/email/waiting?after={items[-1]['mail'].id}{'&mine=1' if mine else ''}" if len(rows) > PAGE else ""
    template = "email/_waiting_rows.html" if after is not None else "email/waiting.html"
    return render_template(template, items=items, more=more, mine=mine)


@needs("email.mail.update")
def settle(interaction_id: UUID) -> BaseResponse:
    """This one needs no answer, or after all it does."""
    with current_site().write(current_actor()) as unit:
        found = unit.reader.all(Mail, Mail.interaction_id == interaction_id)
        if not found:
            abort(404)
        unit.update(found[0], {"open": request.form.get("open") == "1"})
    if request.headers.get("HX-Request") == "true":
        answer = make_response("", 200)
        answer.headers["HX-Trigger"] = json.dumps({"toast": {"message": gettext("It no longer waits for an answer.")}})
        return answer
    return redirect(f"/interaction/{interaction_id}")


# How a mail looked ---------------------------------------------------------------------------------------------------


@needs("email.mail.read")
def page_of_mail(interaction_id: UUID) -> BaseResponse:
    """The HTML of a mail, cleaned, for the frame that shows it."""
    images = request.args.get("images") == "1"
    with current_site().read(current_actor()) as reader:
        found = reader.all(Mail, Mail.interaction_id == interaction_id)
        if not found or not found[0].page:
            abort(404)
        pictures = [
            Part(each.content_id, each.media_type, _bytes(reader, each), each.content_id)
            for each in reader.all(Picture, Picture.mail_id == found[0].id, limit=MAX_FILES)
        ]
        page = found[0].page
    try:
        document = framed(page, pictures, images=images)
    except TooSlow as error:
        abort(422, str(error))
    answer = make_response(document)
    answer.content_type = "text/html; charset=utf-8"
    answer.headers["Content-Security-Policy"] = FRAME_POLICY.format(images=" https:" if images else "")
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def _bytes(reader: Reader, picture: Picture) -> bytes:
    with open_file(reader, picture, "file") as source:
        return source.read()


def mail_facts(reader: Reader, record: Interaction) -> Mapping[str, Any]:
    """Below a mail's interaction: how it looked, and the ways to answer."""
    if record.channel != NAME:
        return {"mail": None, "answerable": False}
    found = reader.all(Mail, Mail.interaction_id == record.id)
    mail = found[0] if found else None
    others = reader.all(Participant, Participant.interaction_id == record.id, Participant.customer_id.is_not(None))
    return {
        "mail": mail, "answerable": current_actor().may("message.create"), "several": len(others) > 1,
        "outside": mail is not None and has_pictures_outside(mail.page),
        "images": request.args.get("images") == "1",
    }  # fmt: skip


# Accounts ------------------------------------------------------------------------------------------------------------


def account_facts(reader: Reader, record: Account) -> Mapping[str, Any]:
    """Beside an account: how it fares, its passwords, and what its mailbox brought that is no conversation."""
    from rapport_email.health import places_of

    return {
        "places": places_of(reader, [record.id]).get(record.id, []),
        "mine": may_keep(record), "has_smtp": bool(record.smtp_secret), "has_imap": bool(record.imap_secret),
    }  # fmt: skip


def may_keep(account: Account) -> bool:
    """Whoever administers accounts, and an account's own person, who needs no right to change servers for that."""
    actor = current_actor()
    return actor.reach("email.account.update") == "all" or (actor.id is not None and account.owner_id == actor.id)


@needs("email.account.read")
def own_account(account_id: UUID) -> BaseResponse:
    """Set an account's passwords and signature."""
    site, actor, form = current_site(), current_actor(), request.form
    with site.read(actor) as reader:
        if not may_keep(reader.get(Account, account_id)):
            abort(403)
    keeper = replace(actor, grants={**actor.grants, "email.account.update": "all"})
    with site.write(keeper) as unit:
        account = unit.get(Account, account_id)
        unit.update(account, {"signature": form.get("signature", account.signature)})
        if password := form.get("smtp_password", ""):
            account.smtp_secret = seal(site.config, password)
        same = form.get("smtp_password", "") if form.get("same") == "true" else ""
        if password := form.get("imap_password", "") or same:
            account.imap_secret = seal(site.config, password)
        if form.get("forget") == "true":
            account.smtp_secret = account.imap_secret = ""
        unit.flush()
    return redirect(f"/email.account/{account_id}")


@needs("email.account.read")
def try_account(account_id: UUID) -> str:
    """Sign in to both servers, and say plainly what works."""
    site = current_site()
    with site.read(current_actor()) as reader:
        account = reader.get(Account, account_id)
        if not may_keep(account):
            abort(403)
    results: list[tuple[str, str]] = []
    try:
        if account.smtp_host:
            results.append((gettext("Sending"), smtp.check(way_out(site, account))))
        if account.imap_host:
            folders = [*account.folders, *account.sent_folders]
            results.append((gettext("Fetching"), imap.check(way_in(site, account), folders)))
    except Locked as error:
        results.append((gettext("Passwords"), str(error)))
    return render_template("email/_tried.html", results=results)


@needs("email.account.read")
def fetch_account(account_id: UUID) -> BaseResponse:
    """Have the mailbox looked into now."""
    site = current_site()
    with site.write(current_actor()) as unit:
        unit.get(Account, account_id)
        inbox.ask_for(unit, account_id)
    site.wake()
    return redirect(f"/email.account/{account_id}")


# Templates -----------------------------------------------------------------------------------------------------------


@needs("email.template.read")
def preview(template_id: UUID) -> str:
    """A template as a chosen customer would get it."""
    customer_id = _uuid(request.args.get("customer_id", ""))
    with current_site().read(current_actor()) as reader:
        template = reader.get(Template, template_id)
        if customer_id is None:
            return render_template("email/_preview.html", shown=None, fault="")
        values = writing.values_for(reader, reader.get(Customer, customer_id), current_actor())
    try:
        shown = {"subject": writing.fill(template.subject, values), "body": writing.fill(template.body, values)}
    except writing.TemplateFault as fault:
        return render_template("email/_preview.html", shown=None, fault=str(fault))
    return render_template("email/_preview.html", shown=shown, fault="")


def template_facts(reader: Reader, record: Template) -> Mapping[str, Any]:
    """Below a template: a preview, and what its words in braces may be."""
    return {"template": record, "variables": writing.VARIABLES, "filters": writing.FILTERS}
