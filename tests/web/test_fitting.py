"""Fitting a site from its pages alone: fields, kinds of records, forms and lists, words."""

from __future__ import annotations

import re
from typing import Any

from rapport.fit import CustomEntity, CustomField, Layout, Term

from .conftest import Person
from .test_admin import rows


def undo(person: Person) -> str:
    """Press Undo in the message that the last page showed."""
    batch = re.findall(r"/undo/[0-9a-f-]{36}", person.page)[-1]
    return person.sends(batch)


def test_a_field_is_added_changed_put_away_and_brought_back(make_app: Any) -> None:
    with make_app() as app:
        ada = Person(app)
        assert "Customers" in ada.opens("/admin/kinds")
        assert "Given name" in ada.opens("/admin/kinds/customer"), "the fields it has from the start"
        ada.opens("/admin/kinds/customer/fields/new")
        page = ada.sends("/admin/kinds/customer/fields/new", 422, label="Kind of pool", kind="choice")
        assert "are missing: say what may be chosen." in page
        assert 'value="Kind of pool"' in page, "nothing that was typed is lost"
        ada.sends("/admin/kinds/customer/fields/new", label="Kind of pool", kind="choice", choices="Round, Square",
                  in_list="true")  # fmt: skip
        [made] = rows(app, CustomField)
        assert (made.name, made.choices, made.in_list) == ("x_kind_of_pool", ("Round", "Square"), True)
        assert "x_kind_of_pool" in ada.page
    with make_app() as app:
        ada = Person(app)
        assert "Kind of pool" in ada.opens("/customer/new")
        ada.sends("/customer/new", name="Grace", kind="person", x_kind_of_pool="Round")
        assert "Round" in ada.opens("/customer")
        url = f"/admin/fields/{made.id}"
        assert "Name and kind stay" in ada.opens(url)
        page = ada.sends(url, 422, label="Pool", choices="Square")
        assert "must keep “Round”: 1 record has it." in page
        ada.sends(url, label="Pool", choices="Round, Square, Oval", kind="text", name="x_other")
        [made] = rows(app, CustomField)
        assert (made.label, made.kind, made.name) == ("Pool", "choice", "x_kind_of_pool")
        undo(ada)
        assert rows(app, CustomField)[0].label == "Kind of pool"
        ada.sends(f"{url}/archive")
        assert "Bring back “Kind of pool”" in ada.page
        assert "1 record holds something in “Kind of pool”." in ada.sends(f"{url}/delete", 409)
        ada.opens("/admin/kinds/customer")
        ada.sends(f"{url}/restore")
        assert rows(app, CustomField)[0].archived_at is None


def test_names_of_fields_are_made_of_their_labels(app: Any) -> None:
    ada = Person(app)
    ada.opens("/admin/kinds/customer/fields/new")
    for label in ("Größe", "Grosse", "اندازه", "اندازه", "42", "Size (m²)"):
        ada.sends("/admin/kinds/customer/fields/new", label=label, kind="text")
    assert [each.name for each in rows(app, CustomField)] == [
        "x_groe", "x_grosse", "x_field", "x_field_2", "x_field_3", "x_size_m2",
    ]  # fmt: skip


def test_a_kind_of_record_is_made_with_its_rights(make_app: Any) -> None:
    with make_app() as app:
        ada = Person(app)
        ada.opens("/admin/kinds/new")
        everything = "read create update delete export import"
        rights = {"grant.manager": everything, "grant.member": "read", "grant.viewer": ""}
        ada.sends("/admin/kinds/new", title="Swimming pool", icon="pool", **rights)
        [made] = rows(app, CustomEntity)
        assert (made.name, made.plural, made.icon) == ("custom.swimming_pool", "Swimming pools", "pool")
        assert made.grants == {"manager": everything, "member": "read"}
    with make_app() as app:
        mia, ada = Person(app, app.user("Mia")), Person(app)
        assert "Swimming pools" in mia.opens("/custom.swimming_pool")
        mia.opens("/custom.swimming_pool/new", 403)
        ada.opens("/custom.swimming_pool/new")
        ada.sends("/custom.swimming_pool/new", name="Lido")
        base = "/admin/kinds/custom.swimming_pool"
        ada.opens(f"{base}/edit")
        ada.sends(f"{base}/edit", title="Pool", plural="Pools", icon="pool", **rights)
        ada.sends(f"{base}/archive")
        assert "Bring back “Pools”" in ada.opens("/admin/kinds")
        assert "There is 1 record of the kind “Pool”." in ada.sends(f"{base}/delete", 409)
        ada.opens("/admin/kinds")
        ada.sends(f"{base}/restore")
    with make_app() as app:
        assert "Lido" in Person(app).opens("/custom.swimming_pool")


def test_making_a_kind_can_be_undone_at_once(app: Any) -> None:
    ada = Person(app)
    ada.opens("/admin/kinds/new")
    ada.sends("/admin/kinds/new", title="Pool", icon="pool")
    undo(ada)
    assert rows(app, CustomEntity) == []


def test_a_form_is_arranged_and_a_new_field_joins_it(make_app: Any) -> None:
    with make_app() as app:
        ada = Person(app)
        page = ada.opens("/admin/kinds/customer/form")
        assert 'name="item" value="given_name"' in page
        assert "As the plugin made it" not in page
        items = [":section", "phone", "name", "nonsense", ":section", "address", ":section", ":out", "source"]
        ada.sends("/admin/kinds/customer/form", item=items, title=["Who", "Where", "Nothing"])
        [kept] = rows(app, Layout)
        assert kept.content == [
            {"title": "Who", "fields": ["phone", "name"]}, {"title": "Where", "fields": ["address"]},
        ]  # fmt: skip
        ada.sends("/admin/kinds/customer/fields/new", label="Pool", kind="text", section="Who")
        assert rows(app, Layout)[0].content[0]["fields"] == ["phone", "name", "x_pool"]
    with make_app() as app:
        ada = Person(app)
        grace = app.create_customer(name="Grace", source="Navy fair")
        form = ada.opens("/customer/new")
        assert form.index('name="phone"') < form.index('name="name"') < form.index('name="x_pool"')
        assert 'name="source"' not in form
        assert "Navy fair" not in ada.opens(f"/customer/{grace.id}")
        page = ada.opens("/admin/kinds/customer/form")
        assert page.index('value=":out"') < page.index('value="source"')
        ada.sends("/admin/kinds/customer/form/reset")
        assert rows(app, Layout) == []
        undo(ada)
        assert len(rows(app, Layout)) == 1


def test_a_list_is_arranged_and_shows_at_least_something(make_app: Any) -> None:
    with make_app() as app:
        ada = Person(app)
        ada.opens("/admin/kinds/customer/list")
        ada.sends("/admin/kinds/customer/list", item=[":section", "phone", "name", ":out", "email"])
        assert rows(app, Layout)[0].content == ["phone", "name"]
        ada.sends("/admin/kinds/customer/fields/new", label="Pool", kind="text", in_list="true")
        assert rows(app, Layout)[0].content == ["phone", "name", "x_pool"]
        ada.opens("/admin/kinds/customer/list")
        assert "A list shows at least one field." in ada.sends("/admin/kinds/customer/list", 400, item=[":section"])
    with make_app() as app:
        app.create_customer(name="Grace")
        head = Person(app).opens("/customer").split("<thead", 1)[1].split("</thead", 1)[0]
        assert head.index("Phone") < head.index("Name") < head.index("Pool")
        assert "E-mail" not in head


def test_words_are_found_and_said_otherwise_in_one_language(make_app: Any) -> None:
    with make_app(plugins=["sales"]) as app:
        ada = Person(app)
        ada.opens("/admin/kinds/customer/fields/new")
        ada.sends("/admin/kinds/customer/fields/new", label="Kind of pool", kind="text")
        page = ada.opens("/admin/words?lang=fr&kind=customer")
        assert "Téléphone" in page, "what Rapport says in French"
        assert "Phone" in page, "and what is meant"
        assert "Customers" in ada.opens("/admin/words?lang=fr"), "the names of kinds come first"
        assert "Kind of pool" in ada.opens("/admin/words?lang=fr&q=pool"), "what was added here is to be said too"
        assert "Qualified" in ada.opens("/admin/words?lang=en&kind=sales.opportunity"), "stages"
        ada.sends("/admin/words", lang="fr", text=["Customers", "Kind of pool", "Note"],
                  said=["Patients", "Type de bassin", ""])  # fmt: skip
        assert {(each.text, each.said) for each in rows(app, Term)} == {
            ("Customers", "Patients"), ("Kind of pool", "Type de bassin"),
        }  # fmt: skip
        assert "Nothing matches" in ada.opens("/admin/words?lang=fr&q=nonsense")
    with make_app(plugins=["sales"]) as app:
        fleur, ada = Person(app, app.user("Fleur", language="fr")), Person(app)
        assert "Type de bassin" in fleur.opens("/customer/new")
        assert "Patients" in fleur.opens("/customer")
        assert "Customers" in ada.opens("/customer")
        for _again in range(2):  # what is the same on every page is kept for each language by itself
            assert "Leave without saving" in ada.opens("/customer")
            assert "Leave without saving" not in fleur.opens("/customer")
            assert "Annuler" in fleur.page
        ada.opens("/admin/words?lang=fr")
        ada.sends("/admin/words", lang="fr", text=["Customers"], said=[""])
        assert [each.text for each in rows(app, Term)] == ["Kind of pool"]
        undo(ada)
        assert len(rows(app, Term)) == 2


def test_only_administrators_see_these_pages(app: Any) -> None:
    mia = Person(app, app.user("Mia"))
    for path in ("/admin/kinds", "/admin/kinds/new", "/admin/kinds/customer", "/admin/kinds/customer/fields/new",
                 "/admin/kinds/customer/form", "/admin/words"):  # fmt: skip
        mia.opens(path, 403)
