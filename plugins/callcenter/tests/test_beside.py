"""The call centre beside other modules: each gives when the other is there, and takes nothing when it is not."""

from __future__ import annotations

import re
from typing import Any

from rapport_callcenter import Agent, CallList, WrapUp
from rapport_marketing import Segment
from rapport_sales import Lead
from rapport_service import Case

from plugins.callcenter.tests.conftest import Centre


def test_a_segment_is_called_and_makes_leads_and_a_complaint_makes_a_case(make_app: Any, clock: Any):
    clock.now = clock.now.replace(hour=10, minute=0, second=0)
    with make_app(plugins=["callcenter", "marketing", "sales", "service"]) as app:
        centre = Centre(app)
        ada, _bob = centre.people("Ada", "Bob", tags=["pool"])
        centre.people("Eve")
        segment = centre.make(Segment, name="Pool owners", filter='tags has "pool"')
        assert centre.press("marketing.segment", segment, "call", campaign="SPRING").status_code == 302
        app.settle()
        with app.site.read(app.admin) as reader:
            (made,) = reader.all(CallList)
        assert (made.name, made.campaign, made.state) == ("Pool owners", "SPRING", "open")
        assert list(centre.entries(made)) == ["Ada", "Bob"]
        with app.site.write(app.admin) as unit:
            unit.update(unit.get(CallList, made.id), {"hours_from": "00:00", "hours_to": "23:59"})

        mo = app.user("Mo Member")
        centre.make(Agent, user_id=str(mo.id), extension="101")
        browser = app.browser(mo)
        app.submit(browser, "/callcenter/calling/next", {"list_id": made.id})
        one = f"/callcenter/calling/{centre.entries(made)['Ada'].id}"
        app.submit(browser, f"{one}/dial", {})
        app.submit(browser, f"{one}/finish", {"disposition_id": centre.disposition("Interested").id, "note": "Soon"})
        app.settle()
        with app.site.read(app.admin) as reader:
            (lead,) = reader.all(Lead)
            assert (lead.customer_id, lead.campaign, lead.note, lead.owner_id) == (ada.id, "SPRING", "Soon", mo.id)

        app.submit(browser, "/callcenter/desk/state", {"state": "available"})
        app.client.post("/api/v1/callcenter.event", json={"kind": "ringing", "call": "c1", "number": ada.phone})
        app.client.post("/api/v1/callcenter.event", json={"kind": "answered", "call": "c1", "extension": "101"})
        with app.site.read(app.admin) as reader:
            code = next(each for each in reader.all(WrapUp) if each.about == "complaint")
        page = browser.get("/callcenter/desk").get_data(as_text=True)
        done = re.findall(r"/callcenter/desk/([0-9a-f-]{36})/", page)[0]
        form = {"wrap_up_id": code.id, "note": "It squeaks", "refund": "true"}
        assert app.submit(browser, f"/callcenter/desk/{done}/wrap-up", form).status_code == 303
        app.settle()
        with app.site.read(app.admin) as reader:
            (case,) = reader.all(Case)
            assert (case.customer_id, case.kind, case.description) == (ada.id, "complaint", "It squeaks")
            assert case.subject == "Complaint, Refund"
