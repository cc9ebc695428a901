"""The paper of a quote and the way to the customer: PDF in their language, mailed with a link to answer by."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from rapport_products import Product

from rapport import (
    LANGUAGES,
    Customer,
    Formats,
    Invalid,
    JobContext,
    Problem,
    Reader,
    Site,
    Unit,
    User,
    enqueue_job,
    gettext,
    send,
    store,
    utcnow,
)
from rapport.documents import Document, Head, can_draw, pdf
from rapport_sales.quotes import Quote, lines_of, obstacles

JOB = "sales.send_quote"
PAGE = "/sales/quote/"


# The link ------------------------------------------------------------------------------------------------------------


def link(site: Site, quote: Quote) -> str:
    """Where the customer sees the quote and answers it. Nobody can make one up, and who has it needs no password."""
    return site.config.base_url.rstrip("/") + PAGE + _signer(site).dumps(quote.id.hex)


def quote_of(site: Site, token: str) -> UUID | None:
    """Which quote a link opens; None for a link that we did not make."""
    try:
        return UUID(_signer(site).loads(token))
    except (BadSignature, TypeError, ValueError, AttributeError):
        return None


def _signer(site: Site) -> URLSafeSerializer:
    return URLSafeSerializer(site.config.secret_key, salt="sales-quote")


# The paper -----------------------------------------------------------------------------------------------------------


def language_of(quote: Quote) -> str:
    """The language of the paper."""
    return quote.language if quote.language in LANGUAGES else "en"


def facts_of(reader: Reader, quote: Quote) -> dict[str, Any]:
    """What stands on the quote, for the paper and the page, in the customer's language. Never what it costs us."""
    formats = Formats(language_of(quote), str(reader.site.settings.get("core.zone") or "UTC"))
    scoped = {"rapport_scoped": True}
    customer = reader.session.get(Customer, quote.customer_id, execution_options=scoped)
    contact = reader.session.get(Customer, quote.contact_id, execution_options=scoped) if quote.contact_id else None
    lines = lines_of(reader.session, quote)
    products = {
        line.product_id: reader.session.get(Product, line.product_id, execution_options=scoped)
        for line in lines if line.product_id
    }  # fmt: skip
    return {
        "customer": customer,
        "contact": contact if contact is not customer else None,
        "formats": formats,
        "lines": [
            {"description": line.description, "quantity": formats.number(line.quantity),
             "unit": getattr(products.get(line.product_id or quote.id), "unit", ""),
             "price": formats.money(line.price or 0, quote.currency),
             "discount": formats.percent(line.discount / 100) if line.discount else "",
             "total": formats.money(line.total, quote.currency)}
            for line in lines
        ],
        "total": formats.money(quote.total, quote.currency),
        "saved": formats.money(quote.regular - quote.total, quote.currency) if quote.regular > quote.total else "",
    }  # fmt: skip


def document_of(reader: Reader, quote: Quote) -> Document:
    """The quote as it is drawn."""
    facts = facts_of(reader, quote)
    formats, customer, contact = facts["formats"], facts["customer"], facts["contact"]
    with reader.site.speaking(language_of(quote)):
        title = gettext("Quote %(number)s", number=quote.name)
        if quote.is_open or quote.status == "approval":
            title = gettext("Draft of quote %(number)s", number=quote.name)
        told = [(gettext("Date"), formats.date((quote.sent_at or utcnow()).date()))]
        if quote.valid_until is not None:
            told.append((gettext("Valid until"), formats.date(quote.valid_until)))
        if quote.subject:
            told.insert(0, (gettext("Subject"), quote.subject))
        discounts = any(line["discount"] for line in facts["lines"])
        heads = [Head(gettext("Description"), 0.42 if discounts else 0.5), Head(gettext("Quantity"), 0.14, True),
                 Head(gettext("Price"), 0.17, True)]  # fmt: skip
        if discounts:
            heads.append(Head(gettext("Discount"), 0.1, True))
        heads.append(Head(gettext("Total"), 0.17 if discounts else 0.19, True))
        rows = [
            [line["description"], f"{line['quantity']} {line['unit']}".strip(), line["price"],
             *([line["discount"]] if discounts else []), line["total"]]
            for line in facts["lines"]
        ]  # fmt: skip
        return Document(
            title=title, language=language_of(quote), sender=str(reader.site.settings.get("core.name")),
            to=[str(each) for each in (customer, contact) if each is not None] + _address(customer, formats),
            facts=told, opening=quote.text.splitlines(), heads=heads, rows=rows,
            totals=[(gettext("Total"), facts["total"])], closing=quote.terms.splitlines(),
        )  # fmt: skip


def _address(customer: Customer | None, formats: Formats) -> list[str]:
    at = (customer.address or {}) if customer is not None else {}
    town = " ".join(part for part in (at.get("postcode", ""), at.get("city", "")) if part)
    return [
        line
        for line in (at.get("street", ""), town, formats.country(at["country"]) if at.get("country") else "")
        if line
    ]


def file_name(quote: Quote) -> str:
    """What the PDF is called where it is saved."""
    return f"{quote.name.replace('/', '-')}.pdf"


# Sending -------------------------------------------------------------------------------------------------------------


def send_quote(unit: Unit, quote: Quote) -> None:
    """The quote is sent from here on. A job draws it and mails it, in the name of whoever sends it."""
    if problems := obstacles(unit.session, quote):
        raise Invalid(problems)
    unit.update(quote, {})
    quote.status, quote.sent_at = "sent", utcnow()
    unit.flush()
    enqueue_job(unit.session.connection(), JOB, {"quote_id": str(quote.id)}, actor=unit.actor, key=str(quote.id))


def deliver(context: JobContext, quote_id: str) -> str:
    """The job: keep the paper as it is now, and mail it where mail can go."""
    site = context.site
    with site.read(context.actor) as reader:
        quote = reader.get(Quote, UUID(quote_id))
        if quote.status != "sent" or quote.file is not None:
            return ""
        paper = pdf(document_of(reader, quote)) if can_draw() else b""
        name = file_name(quote)
    stored = store(site, io.BytesIO(paper), name, context.actor) if paper else None
    with site.write(context.actor) as unit:
        quote = unit.get(Quote, UUID(quote_id))
        quote.file = stored.id if stored is not None else None
        unit.flush()
        if "email" in site.channels:
            _mail(unit, quote)
        context.finish_in(unit.session.connection())
    return ""


def _mail(unit: Unit, quote: Quote) -> None:
    site = unit.site
    owner = unit.session.get(User, quote.owner_id) if quote.owner_id else None
    to = unit.session.get(Customer, quote.contact_id or quote.customer_id)
    if to is None:
        raise Invalid(Problem("customer_id", gettext("is missing.")))
    formats = Formats(language_of(quote), str(site.settings.get("core.zone") or "UTC"))
    with site.speaking(language_of(quote)):
        subject = gettext("Quote %(number)s", number=quote.name) + (f": {quote.subject}" if quote.subject else "")
        paragraphs = [
            gettext("Hello %(name)s,", name=str(to)),
            gettext("here is our quote. You can look at it, and accept it or tell us why not, on this page:"),
            link(site, quote),
        ]
        if quote.valid_until is not None:
            paragraphs.append(gettext("It is valid until %(day)s.", day=formats.date(quote.valid_until)))
        paragraphs.append(str(owner) if owner is not None else str(site.settings.get("core.name")))
    send(unit, channel="email", customer=to, purpose="service", subject=subject, body="\n\n".join(paragraphs),
         attachments=[quote.file] if quote.file else [], campaign=quote.campaign, about=quote)  # fmt: skip
