"""Boards: records as cards in the columns of their stages, moved by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from rapport.access import User
from rapport.builtin.web import forms
from rapport.builtin.web.context import came_from, done, formats, go, is_htmx, meta_of, reader, toast
from rapport.builtin.web.lists import Asked, asked, entity_or_404
from rapport.builtin.web.present import default_currency
from rapport.customers import Customer
from rapport.entities import Entity, Field, utcnow
from rapport.errors import Invalid, Stale
from rapport.http import current_actor, current_site, needs
from rapport.workflows import Pipeline, Stage
from rapport.workflows.moves import stages_of

CARDS = 30
"""Cards shown in a column; the list has them all."""


def add_pages(web: Blueprint) -> None:
    """The board of every entity that has stages."""
    web.add_url_rule("/<name>/board", view_func=board, methods=["GET"])
    web.add_url_rule("/<name>/<uuid:record_id>/move", view_func=move_card, methods=["POST"])


def _staged(name: str) -> Any:
    entity = entity_or_404(name)
    if not entity.meta.staged:
        abort(404)
    return entity


@needs("")
def board(name: str) -> str:
    """Columns with counts, totals and the cards that were touched last; two queries, however many columns."""
    entity = _staged(name)
    ask = asked(entity)
    pipelines = reader().all(Pipeline, Pipeline.entity == name, Pipeline.archived_at.is_(None), order=Pipeline.position)
    chosen = next(
        (p for p in pipelines if str(p.id) == request.args.get("pipeline")), pipelines[0] if pipelines else None
    )
    stages = stages_of(reader().session, name, chosen.id) if chosen else []
    conditions = reader().conditions(entity, filter=ask.filter, search=ask.search)
    totals = _totals(entity, conditions)
    cards = _cards(entity, conditions, stages)
    return render_template(
        "pages/board.html", meta=meta_of(entity), ask=ask, stages=stages, pipelines=pipelines, chosen=chosen,
        columns=[_column(ask, stage, totals.get(stage.id, (0, {})), cards.get(stage.id, [])) for stage in stages],
        facts=_card_facts(entity, [card for column in cards.values() for card in column], stages),
    )  # fmt: skip


def money_field(entity: type[Entity]) -> Field | None:
    """The amount that cards and columns show: the entity's first one."""
    return next((f for f in meta_of(entity).fields.values() if f.kind == "money" and not f.secret), None)


def _totals(entity: Any, conditions: list[Any]) -> dict[UUID, tuple[int, dict[str, Any]]]:
    """Count and sums per currency of every stage, in one grouped query."""
    money = money_field(entity)
    columns = [entity.stage_id, func.count(entity.id)]
    group = [entity.stage_id]
    if money is not None:
        columns.append(func.sum(getattr(entity, money.name)))
        if money.currency:
            columns.append(getattr(entity, money.currency))
            group.append(getattr(entity, money.currency))
    totals: dict[UUID, tuple[int, dict[str, Any]]] = {}
    for row in reader().session.execute(select(*columns).where(*conditions).group_by(*group)):
        count, sums = totals.get(row[0], (0, {}))
        if money is not None and row[2] is not None:
            currency = (row[3] if money.currency else "") or default_currency()
            sums = {**sums, currency: sums.get(currency, 0) + row[2]}
        totals[row[0]] = (count + row[1], sums)
    return totals


def _cards(entity: Any, conditions: list[Any], stages: list[Stage]) -> dict[UUID, list[Any]]:
    """The newest cards of every column, in one query over all of them."""
    if not stages:
        return {}
    place = (
        func.row_number()
        .over(partition_by=entity.stage_id, order_by=(entity.stage_entered_at.desc(), entity.id))
        .label("place")
    )
    ranked = select(entity.id, place).where(*conditions, entity.stage_id.in_([s.id for s in stages])).subquery()
    rows = reader().session.scalars(
        select(entity)
        .join(ranked, ranked.c.id == entity.id)
        .where(ranked.c.place <= CARDS)
        .order_by(entity.stage_id, ranked.c.place)
    )
    columns: dict[UUID, list[Any]] = {}
    for row in rows:
        columns.setdefault(row.stage_id, []).append(row)
    return columns


def _column(ask: Asked, stage: Stage, total: tuple[int, dict[str, Any]], cards: list[Any]) -> dict[str, Any]:
    count, sums = total
    here = f'stage_id = "{stage.id}"'
    return {
        "stage": stage,
        "count": count,
        "total": " · ".join(
            formats().money(amount, currency, compact=True) for currency, amount in sums.items() if amount
        ),
        "tone": {"won": "green", "lost": "red"}.get(stage.kind, "blue"),
        "cards": cards,
        "more": max(0, count - len(cards)),
        "more_url": ask.url(filter=f"({ask.filter}) and {here}" if ask.filter else here),
    }


def _card_facts(entity: Any, cards: list[Any], stages: list[Stage]) -> dict[UUID, dict[str, Any]]:
    """What a card says beside its title: customer, amount, due day, owner, and whether it has been lying."""
    fields, money = meta_of(entity).fields, money_field(entity)
    customers = reader().titles(Customer, [c.customer_id for c in cards]) if "customer_id" in fields else {}
    owners = reader().titles(User, [c.owner_id for c in cards]) if entity.meta.owned else {}
    due_field = next((f.name for f in fields.values() if f.kind == "date" and not f.readonly), None)
    limits = {stage.id: stage.stale_after_days for stage in stages if stage.kind == "open"}
    open_stages = {stage.id for stage in stages if stage.kind == "open"}
    today, now = reader().today(), utcnow()
    facts = {}
    for card in cards:
        due = getattr(card, due_field) if due_field else None
        amount = getattr(card, money.name) if money else None
        days, limit = (now - card.stage_entered_at).days, limits.get(card.stage_id)
        facts[card.id] = {
            "subtitle": customers.get(getattr(card, "customer_id", None), ""),  # type: ignore[arg-type]
            "amount": formats().money(amount, getattr(card, money.currency or "", "") or default_currency())
            if money and amount else "",
            "due": formats().date(due, "short") if due else "",
            "due_tone": "danger" if due and due < today and card.stage_id in open_stages else "",
            "owner": owners.get(getattr(card, "owner_id", None), ""),  # type: ignore[arg-type]
            "stale": g.texts.ngettext("%(num)s day here", "%(num)s days here", days) if limit and days > limit else "",
        }  # fmt: skip
    return facts


@needs("")
def move_card(name: str, record_id: UUID) -> Response:
    """A card was put into another column. What the stage needs is asked for; until then the card goes back."""
    entity = _staged(name)
    try:
        target = UUID(request.form.get("stage", ""))
        version = int(request.form["version"]) if request.form.get("version") else None
    except ValueError:
        abort(400)
    asked_for = [f for f in forms.form_fields(meta_of(entity)) if f.name in request.form and f.name != "stage_id"]
    try:
        values = forms.read_form(meta_of(entity), request.form, asked_for)
        with current_site().write(current_actor()) as unit:
            record = unit.get(entity, record_id)
            if record.stage_id != target:
                unit.update(record, {**values, "stage_id": str(target)}, version=version)
    except Invalid as error:
        fields = _askable(entity, error)
        if fields and is_htmx():
            return _ask(entity, record_id, target, [*asked_for, *fields], error if asked_for else None)
        labels = {f.name: g.texts.gettext(f.label) for f in meta_of(entity).fields.values()}
        message = " ".join(
            f"{labels.get(p.field or '', '')} {g.texts.gettext(p.message)}".strip() for p in error.problems
        )
        return _refused(message, 409)
    except Stale:
        return _refused(g.texts.gettext("Somebody else changed this card. Load the board again."), 409)
    if request.form.get("page") == "record":
        toast(g.texts.gettext("Moved."))
        return go(f"/{name}/{record_id}")
    if asked_for:  # from the dialog: the card is still in its old column
        toast(g.texts.gettext("Moved."))
        return go(came_from(f"/{name}/board"))
    return done(g.texts.gettext("Moved."))


def _askable(entity: type[Entity], error: Invalid) -> list[Field]:
    """The fields that would make the move possible, when every problem is one that somebody can fill in."""
    names = {problem.field for problem in error.problems}
    fields = [f for f in forms.form_fields(meta_of(entity)) if f.name in names and f.kind != "file"]
    return fields if len(fields) == len(names) else []


def _ask(
    entity: type[Entity], record_id: UUID, target: UUID, fields: Sequence[Field], error: Invalid | None
) -> Response:
    """A dialog for what the stage needs, which takes the place of the refusal."""
    fields = list({f.name: f for f in fields}.values())
    record: Any = reader().get(entity, record_id)
    values = forms.retyped(request.form, fields) if error else forms.typed_values(record, fields)
    stage = next((each for each in stages_of(reader().session, entity.meta.name) if each.id == target), None)
    page = render_template(
        "pages/_move.html", meta=meta_of(entity), record=record, stage=stage, fields=fields, values=values,
        errors=forms.errors_by_field(error.problems) if error else {}, texts=forms.reference_texts(fields, values),
        currencies={f.name: forms.currencies_of(record, f) for f in fields if f.kind == "money"},
        back=request.form.get("page", ""),
    )  # fmt: skip
    answer = Response(page, 422, content_type="text/html; charset=utf-8")
    answer.headers["HX-Retarget"], answer.headers["HX-Reswap"] = "#modal-body", "innerHTML"
    return answer


def _refused(message: str, status: int) -> Response:
    import json

    return Response(json.dumps({"title": message, "detail": message, "status": status}), status,
                    content_type="application/problem+json")  # fmt: skip
