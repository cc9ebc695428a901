"""Sales for other programs: what is in the pipelines at this moment."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from rapport import Invalid, Problem, stages_of
from rapport import gettext as _
from rapport.builtin.api.problems import handle
from rapport.http import current_actor, current_site, described, needs
from rapport_sales.service import ENTITY, Total, pipeline_totals

ASKED = {"filter": "Only opportunities that meet a filter, such as `owner_id = me`."}


def make_blueprint() -> Blueprint:
    """The addresses below /api/v1/."""
    api = Blueprint("sales_api", __name__, url_prefix="/api/v1")
    handle(api)
    api.add_url_rule("/sales.pipeline_totals", view_func=totals)
    return api


@needs("sales.opportunity.read")
@described("What the pipelines hold: by stage, by owner of what is open, and all that is open", ASKED)
def totals() -> Response:
    """Counts and amounts of what one may see, as they are now; the analysis (`warehouse.cube`) has them over time."""
    if wrong := sorted(request.args.keys() - ASKED.keys()):
        known = ", ".join(ASKED)
        raise Invalid(
            Problem(name, _("is not a parameter of this address. Known: %(known)s.", known=known)) for name in wrong
        )
    with current_site().read(current_actor()) as reader:
        found = pipeline_totals(reader, filter=request.args.get("filter") or None)
        stages = [each for each in stages_of(reader.session, ENTITY) if each.id in found.by_stage]
        return jsonify({
            "stages": [{"id": str(each.id), "title": each.title, "kind": each.kind, **_json(found.by_stage[each.id])}
                       for each in stages],
            "owners": [{"id": str(owner) if owner else None, **_json(total)}
                       for owner, total in found.by_owner.items()],
            "open": _json(found.open),
        })  # fmt: skip


def _json(total: Total) -> dict[str, Any]:
    return {
        "count": total.count,
        "amounts": {currency: f"{amount:.4f}" for currency, amount in total.amounts.items()},
        "weighted": {currency: f"{amount:.4f}" for currency, amount in total.weighted.items()},
    }
