"""The site that benchmarks make by SQL is one that real writes could have made."""

from __future__ import annotations

from sqlalchemy import func, select, update

from benchmarks.making import PER_CUSTOMER, differences, make_many
from rapport import Customer, Interaction
from rapport.access import system
from rapport.entities import table_of
from rapport.query.search import search_document
from rapport.records.log import change_log
from rapport.testing import TestApp

CUSTOMERS = 60


def test_what_is_made_by_sql_is_what_a_write_leaves(app: TestApp) -> None:
    before = _counts(app)
    make_many(app.site, customers=CUSTOMERS, seed=7, email=app.admin.email)
    made = {name: count - before[name] for name, count in _counts(app).items()}
    interactions = CUSTOMERS * PER_CUSTOMER
    assert made == {"customer": CUSTOMERS, "interaction": interactions, "change_log": CUSTOMERS + interactions,
                    "search_document": CUSTOMERS + interactions}  # fmt: skip
    assert differences(app.site, app.admin.email, sample=15) == []
    app.settle()  # nobody who follows the log is behind, and nothing waits to be told
    with app.site.read(system("test")) as reader:
        page = reader.page(Customer, search="person.11@example.org", limit=2)
    assert [each.email for each in page.items] == ["person.11@example.org"]

    # The control: whatever is not as a write leaves it is found.
    with app.site.db.write() as connection:
        connection.execute(update(search_document).values(title="spoilt"))
        connection.execute(update(table_of(Interaction)).values(organisation_id=None))
        connection.execute(update(change_log).values(via="elsewhere"))
    found = differences(app.site, app.admin.email, sample=15)
    assert {"title", "interaction.organisation_id", "log 0.via"} <= {
        each.split(": ")[1].split(" is ")[0] for each in found
    }


def _counts(app: TestApp) -> dict[str, int]:
    tables = (table_of(Customer), table_of(Interaction), change_log, search_document)
    with app.site.db.read() as connection:
        return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}
