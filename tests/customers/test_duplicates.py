"""Nobody is entered twice: who looks like the new one is suggested, with the reason, in any script."""

from __future__ import annotations

import pytest

from rapport import ContactPoint
from rapport.access import Role, system
from rapport.customers.matching import find_duplicates


def suggested(app, actor=None, **values):
    with app.site.read(actor or app.admin) as reader:
        return [(match.name, match.reason) for match in find_duplicates(reader, values)]


@pytest.mark.parametrize(
    ("known", "typed"),
    [
        ("Zoé Lefèvre", "lefevre zoe"),  # without accents, the other way round
        ("Müller Maschinenbau GmbH", "Muller Maschinenbau GmbH"),
        ("علی کریمی", "علي كريمي"),  # Arabic instead of Persian letters
        ("مریم احمدی‌نژاد", "مریم احمدی نژاد"),  # a space instead of the zero-width non-joiner
        ("נועה לוי", "לוי נועה"),
        ("王伟", "王 伟"),
        ("Katherine Johnson", "Katharine Johnson"),
    ],
)
def test_a_name_is_known_again_however_it_is_typed(app, known, typed):
    app.create_customer(name=known)
    app.create_customer(name="Somebody Else")
    assert [name for name, _reason in suggested(app, name=typed)] == [known]


def test_an_address_is_known_wherever_it_was_kept(app):
    ada = app.create_customer(name="Ada", email="ada@example.com", phone="+33 1 70 18 99 00")
    with app.site.write(app.admin) as unit:
        unit.create(ContactPoint, {"customer_id": ada.id, "kind": "email", "value": "countess@example.com"})
    assert suggested(app, name="A. L.", email="ADA@example.com") == [("Ada", "the same e-mail")]
    assert suggested(app, name="A. L.", phone="+33170189900") == [("Ada", "the same number or address")]
    assert suggested(app, name="A. L.", email="countess@example.com") == [("Ada", "the same number or address")]
    assert suggested(app, name="Bob", email="bob@example.com") == []


def test_the_surest_comes_first_and_no_more_than_five(app):
    for number in range(7):
        app.create_customer(name=f"Ada Lovelace{'!' * number}")
    app.create_customer(name="Countess", email="ada@example.com")
    found = suggested(app, name="Ada Lovelace", email="ada@example.com")
    assert len(found) == 5
    assert found[0] == ("Countess", "the same e-mail")
    assert found[1] == ("Ada Lovelace", "the same name")


def test_nobody_is_suggested_who_is_archived_or_out_of_reach(app):
    with app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "scout", "title": "Scout", "grants": {"customer.read": "own"}})
    scout = app.user("Scout", roles=["scout"])
    ada = app.create_customer(name="Ada Lovelace")
    assert suggested(app, scout, name="Ada Lovelace") == []
    with app.site.write(app.admin) as unit:
        unit.archive(unit.get(type(ada), ada.id))
    assert suggested(app, name="Ada Lovelace") == []
