"""Writing to customers: the composer, what a customer may be written about, and the settings of all that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from werkzeug.wrappers import Response

from rapport.builtin.web import forms
from rapport.builtin.web.admin import admin_only
from rapport.builtin.web.context import formats, go, meta_of, reader, toast
from rapport.builtin.web.present import Presenter
from rapport.builtin.web.records import MAX_FILES, came_along
from rapport.customers import ContactPoint, Customer
from rapport.customers.retention import RetentionRule
from rapport.entities import Entity, utcnow
from rapport.errors import Invalid, Problem
from rapport.files import store
from rapport.http import current_actor, current_site, needs
from rapport.i18n.catalogs import N_, _
from rapport.interactions import (
    Consent,
    FrequencyCap,
    Interaction,
    Message,
    Purpose,
    QuietHours,
    Suppression,
    preferences,
)
from rapport.interactions.gate import address_of
from rapport.interactions.sending import send
from rapport.records import Reader

SETTINGS: Sequence[tuple[type[Entity], str]] = (
    (Purpose, N_("What customers are contacted for, and on which ground.")),
    (QuietHours, N_("When they are left in peace, by their own clock. What would be sent then waits.")),
    (FrequencyCap, N_("How often they may be contacted, over all or by channel, purpose or campaign.")),
    (RetentionRule, N_("How long what is known of them is kept.")),
)


def add_pages(web: Blueprint) -> None:
    """The composer and the settings."""
    web.add_url_rule("/message/new", view_func=write, methods=["GET", "POST"])
    web.add_url_rule("/admin/contact", view_func=contact_settings, methods=["GET"])


# Beside a customer ---------------------------------------------------------------------------------------------------


def of_customer(reader: Reader, record: Customer) -> Mapping[str, Any]:
    """The panel: what they may be written about by which way, what stands against it, and the way to write."""
    site, actor = reader.site, reader.actor
    choices = preferences.choices(site, reader.session, record)
    purposes: dict[UUID, list[preferences.Choice]] = {}
    for choice in choices:
        purposes.setdefault(choice.purpose.id, []).append(choice)
    standing = [Suppression.customer_id == record.id, Suppression.archived_at.is_(None)]
    suppressions = reader.all(Suppression, *standing, order=Suppression.id.desc(), limit=20)
    alive = [each for each in suppressions if each.until is None or each.until > utcnow()]
    newest = reader.all(Consent, Consent.customer_id == record.id, Consent.archived_at.is_(None),
                        order=(Consent.at.desc(), Consent.id.desc()), limit=5)  # fmt: skip
    may_write = actor.may("message.create") and record.archived_at is None and len(site.channels) > 0
    back = f"/customer/{record.id}"
    return {
        "purposes": list(purposes.values()),
        "suppressions": alive,
        "reasons": _labels(Suppression, "reason"),
        "consents": newest,
        "titles": reader.titles(Purpose, [each.purpose_id for each in newest]),
        "ways": {**_labels(Consent, "given_by")},
        "write": f"/message/new?{urlencode({'customer_id': record.id})}" if may_write else "",
        "add_consent": f"/consent/new?{urlencode({'customer_id': record.id, 'back': back})}"
        if actor.may("consent.create") else "",
        "add_suppression": f"/suppression/new?{urlencode({'customer_id': record.id, 'back': back})}"
        if actor.may("suppression.create") else "",
        "page": preferences.link(site, record.id) if actor.may("consent.create") and not record.archived_at else "",
    }  # fmt: skip


def _labels(entity: type[Entity], name: str) -> dict[str, str]:
    return {choice.value: choice.label for choice in entity.meta.fields[name].choices}


# Writing -------------------------------------------------------------------------------------------------------------


@needs("message.create")
def write() -> str | Response | tuple[str, int]:
    """Write to a customer by any channel. The gate answers at once: on its way, waiting, to be approved, or why not."""
    customer = _customer()
    if request.method == "GET" and customer is not None and (page := _own_page(customer)):
        return go(page)
    if request.method == "GET" or customer is None:
        status = 422 if request.method == "POST" else 200
        errors = {"customer_id": [g.texts.gettext("Choose a customer.")]} if request.method == "POST" else {}
        return _composer(customer, _answered(customer), request.values, errors), status
    answered, form = _answered(customer), request.form
    try:
        values = forms.read_form(meta_of(Message), form, [meta_of(Message).fields["not_before"]])
        files = _files(form.getlist("kept"))
        if not form.get("body", "").strip():
            raise Invalid(Problem("body", g.texts.gettext("is missing.")))
        with current_site().write(current_actor()) as unit:
            message = send(
                unit, channel=form.get("channel", ""), customer=unit.get(Customer, customer.id),
                purpose=form.get("purpose", ""), subject=form.get("subject", ""), body=form["body"],
                attachments=files, not_before=values.get("not_before"), reply_to=answered,
            )  # fmt: skip
    except Invalid as error:
        return _composer(customer, answered, form, forms.errors_by_field(error.problems)), 422
    if message.state == "refused":
        toast(g.texts.gettext("It was not sent: %(reason)s", reason=message.reason), "danger")
        return go(f"/message/{message.id}")
    toast(_said(message))
    return go(f"/customer/{customer.id}")


def _own_page(customer: Customer) -> str:
    """Where one writes by a channel that has a page for it, unless another channel was named."""
    answered, site = _answered(customer), current_site()
    points = reader().all(ContactPoint, ContactPoint.customer_id == customer.id, ContactPoint.archived_at.is_(None))
    named = request.args.get("channel") or (answered.channel if answered is not None else "")
    reached = [each for each in site.channels if each.name == named] if named else [
        each for each in site.channels if address_of(customer, points, each.point)
    ]  # fmt: skip
    if not reached or not reached[0].page:
        return ""
    asked = {"customer_id": customer.id} | ({"reply_to": answered.id} if answered is not None else {})
    return f"{reached[0].page}?{urlencode(asked)}"


def _said(message: Message) -> str:
    """What became of a message that the gate did not refuse."""
    if message.state == "held":
        return _("It waits for approval: %(reason)s", reason=message.reason)
    if message.not_before is not None:
        when = formats().instant(message.not_before)
        return _("It goes out %(when)s. %(reason)s", when=when, reason=message.reason).strip()
    return _("It is on its way.")


def _customer() -> Customer | None:
    """Whom it is for: named by the page one came from, or chosen in the form."""
    if not (given := request.values.get("customer_id", "")):
        return None
    try:
        return reader().get(Customer, UUID(given))
    except ValueError:
        abort(404)


def _answered(customer: Customer | None) -> Interaction | None:
    """The interaction that it answers, if the page one came from is one of this customer's."""
    if customer is None or not (given := request.values.get("reply_to", "")):
        return None
    try:
        found = reader().get(Interaction, UUID(given))
    except ValueError:
        abort(404)
    return found if found.customer_id == customer.id else None


def _files(kept: Sequence[str]) -> list[UUID]:
    files = [UUID(each) for each in kept[:MAX_FILES]]
    for sent in request.files.getlist("files")[: MAX_FILES - len(files)]:
        if sent.filename:
            files.append(store(current_site(), sent.stream, sent.filename, current_actor()).id)
    return files


def _composer(
    customer: Customer | None, answered: Interaction | None, typed: Mapping[str, Any],
    errors: Mapping[str, Sequence[str]],
) -> str:  # fmt: skip
    site, text = current_site(), g.texts.gettext
    points = [] if customer is None else reader().all(
        ContactPoint, ContactPoint.customer_id == customer.id, ContactPoint.archived_at.is_(None)
    )  # fmt: skip
    ways = [(each, address_of(customer, points, each.point) if customer is not None else "") for each in site.channels]
    reached = [each.name for each, address in ways if address]
    purposes = reader().all(Purpose, Purpose.archived_at.is_(None), order=(Purpose.position, Purpose.name))
    values = dict(typed)
    if answered is not None and "subject" not in values:
        before = answered.subject
        values["subject"] = before if before.lower().startswith("re:") else f"Re: {before}"
    usual = answered.channel if answered is not None else ""
    values.setdefault("channel", usual or next(iter(reached), ""))
    return render_template(
        "pages/write.html", customer=customer, answered=answered, values=values, errors=errors,
        channels=[(each.name, f"{text(each.title)} · {address.splitlines()[0]}" if address else text(each.title))
                  for each, address in ways if address or customer is None or each.name == values.get("channel")],
        purposes=[(each.name, text(each.title)) for each in purposes],
        kept=came_along(request.form.getlist("kept")), later=meta_of(Message).fields["not_before"],
    )  # fmt: skip


# Settings ------------------------------------------------------------------------------------------------------------


@needs("")
def contact_settings() -> str:
    """Purposes, quiet hours, caps and retention, each with its entries and the way to a new one."""
    admin_only()
    groups = []
    for entity, help_ in SETTINGS:
        meta = meta_of(entity)
        fields = [meta.fields[meta.display], *(f for f in meta.listed_fields if f.name != meta.display)]
        page = reader().page(entity, limit=100, sort="id", fields=fields)
        groups.append({
            "meta": meta, "help": help_, "fields": fields, "rows": page.items,
            "presenter": Presenter(entity, page.items, fields),
        })  # fmt: skip
    return render_template("pages/admin/contact.html", groups=groups)
