"""An administrator makes a whole kind of record, calls things by the business's own words, and arranges forms."""

from __future__ import annotations

from rapport.fit import CustomEntity, CustomField, Layout, Term


def fit(app, kind, /, **values):
    with app.site.write(app.admin) as unit:
        return unit.create(kind, values)


def make_pools(app):
    fit(app, CustomEntity, name="custom.pool", title="Pool", icon="pool")
    for name, label, kind, more in [
        ("x_customer_id", "Owner", "reference", {"target": "customer", "in_list": True}),
        ("x_volume", "Volume", "decimal", {"in_list": True, "indexed": True}),
    ]:
        fit(app, CustomField, entity="custom.pool", name=name, label=label, kind=kind, **more)


def test_a_kind_of_record_has_everything_the_next_moment(make_app):
    with make_app() as app:
        make_pools(app)
    with make_app() as app:
        ada = app.create_customer(name="Ada")
        given = {"name": "Garden pool", "x_customer_id": str(ada.id), "x_volume": "42"}
        pool = app.client.post("/api/v1/custom.pool", json=given)
        assert pool.status_code == 201, pool.get_json()
        pool = pool.get_json()
        assert pool["x_volume"] == "42.00"
        browser = app.browser()
        page = browser.get("/custom.pool").get_data(as_text=True)
        assert "Garden pool" in page
        assert "Pools" in browser.get("/").get_data(as_text=True), "the menu has it"
        assert "Volume" in browser.get(f"/custom.pool/{pool['id']}/edit").get_data(as_text=True)
        assert "Garden pool" in browser.get(f"/customer/{ada.id}?tab=custom.pool").get_data(as_text=True)
        found = app.client.get("/api/v1/search", query_string={"q": "garden"}).get_json()["items"]
        assert [hit["entity"] for hit in found] == ["custom.pool"]
        filtered = app.client.get("/api/v1/custom.pool", query_string={"filter": 'x_customer.name = "Ada"'})
        assert len(filtered.get_json()["items"]) == 1


def test_members_may_use_it_as_the_roles_say(make_app):
    with make_app() as app:
        make_pools(app)
        grants = {"viewer": "read"}
        fit(app, CustomEntity, name="custom.secret", title="Secret", grants=grants)
    with make_app() as app:
        member, viewer = app.api(app.user("Mia")), app.api(app.user("Vi", roles=["viewer"]))
        assert member.post("/api/v1/custom.pool", json={"name": "Mine"}).status_code == 201
        assert viewer.post("/api/v1/custom.pool", json={"name": "Not"}).status_code == 403
        assert viewer.get("/api/v1/custom.secret").status_code == 200
        assert member.get("/api/v1/custom.secret").status_code == 403


def test_merging_moves_what_custom_kinds_refer_to(make_app):
    with make_app() as app:
        make_pools(app)
    with make_app() as app:
        ada, twin = app.create_customer(name="Ada"), app.create_customer(name="Ada L")
        pool = app.client.post("/api/v1/custom.pool", json={"name": "P", "x_customer_id": str(twin.id)}).get_json()
        app.client.post(f"/api/v1/customer/{ada.id}/merge", json={"absorbed": [str(twin.id)]})
        moved = app.client.get(f"/api/v1/custom.pool/{pool['id']}").get_json()
        assert moved["x_customer_id"] == str(ada.id)


def test_an_archived_kind_is_gone_and_comes_back_with_its_records(make_app):
    with make_app() as app:
        make_pools(app)
    with make_app() as app:
        app.client.post("/api/v1/custom.pool", json={"name": "Kept"})
        with app.site.write(app.admin) as unit:
            unit.archive(unit.reader.all(CustomEntity)[0])
    with make_app() as app:
        assert app.client.get("/api/v1/custom.pool").status_code == 404
        with app.site.write(app.admin) as unit:
            unit.restore(unit.reader.all(CustomEntity)[0])
    with make_app() as app:
        assert [item["name"] for item in app.client.get("/api/v1/custom.pool").get_json()["items"]] == ["Kept"]


def test_a_kind_that_cannot_be_is_refused(app):
    client = app.client
    for name in ("pool", "sales.pool", "custom.Pool", "custom."):
        answer = client.post("/api/v1/custom_entity", json={"name": name, "title": "Pool"})
        assert answer.status_code == 422, name
        assert [error["field"] for error in answer.get_json()["errors"]] == ["name"]


def test_things_are_called_what_the_business_calls_them_in_each_language(make_app):
    with make_app() as app:
        for language, said in (("en", "Patients"), ("fr", "Patients et patientes")):
            fit(app, Term, language=language, text="Customers", said=said)
    with make_app() as app:
        english, french = app.browser(), app.browser(app.user("Fleur", language="fr"))
        assert "Patients" in english.get("/customer").get_data(as_text=True)
        assert "Patients et patientes" in french.get("/customer").get_data(as_text=True)


def test_a_word_keeps_the_places_of_its_text(app):
    given = {"language": "en", "text": "Good morning, %(name)s", "said": "Hello"}
    answer = app.client.post("/api/v1/term", json=given)
    assert answer.status_code == 422
    assert "%(name)s" in answer.get_data(as_text=True)


def test_a_layout_orders_a_form_and_leaves_out_what_is_not_needed(make_app):
    with make_app() as app:
        sections = [{"title": "Who", "fields": ["phone", "name"]}, {"title": "Where", "fields": ["address"]}]
        fit(app, Layout, entity="customer", place="form", content=sections)
        fit(app, Layout, entity="customer", place="list", content=["phone", "name"])
    with make_app() as app:
        ada = app.create_customer(name="Ada", job_title="Countess", phone="+33170189900")
        browser = app.browser()
        form = browser.get(f"/customer/{ada.id}/edit").get_data(as_text=True)
        assert form.index('name="phone"') < form.index('name="name"')
        assert 'name="job_title"' not in form
        assert "Where" in form
        head = browser.get("/customer").get_data(as_text=True).split("<thead", 1)[1].split("</thead", 1)[0]
        assert head.index("Phone") < head.index("Name")
        assert "E-mail" not in head
        assert app.client.get(f"/api/v1/customer/{ada.id}").get_json()["job_title"] == "Countess", "it is all there"


def test_every_decision_is_in_the_log_and_can_be_undone(make_app):
    with make_app() as app:
        made = fit(app, CustomField, entity="customer", name="x_a", label="A", kind="text")
        page = app.client.get("/api/v1/changes", query_string={"entity": "custom_field"}).get_json()["items"]
        assert [change["id"] for change in page] == [str(made.id)]
