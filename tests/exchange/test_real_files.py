"""Every real file we were given is read with all its records, or refused with a reason. None of them surprises us."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from pathlib import Path

import pytest

from rapport import Customer
from rapport.builtin.exchange import imports
from rapport.builtin.exchange.headers import suggest_mapping
from rapport.builtin.exchange.readers import BadRow, Row, Unreadable, open_table
from rapport.errors import Invalid

from .test_headers import CUSTOMER

SHARED = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
FOLDERS = (
    "01_crm_sales_opportunities", "02_telemarketing", "04_churn", "05_service", "06_contacts", "09_odd_csv",
    "10_companies_names", "11_dedupe", "12_process",
)  # fmt: skip
FILES = sorted(path for folder in FOLDERS for path in (SHARED / folder).rglob("*") if path.is_file())

if not FILES:
    pytest.skip(f"the real files are not here ({SHARED})", allow_module_level=True)


def name_of(path):
    return str(path.relative_to(SHARED))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_is_read_whole_or_refused(path):
    try:
        table = open_table(path, path.name)
        rows = list(table.rows())
    except Unreadable as refusal:
        refused = str(refusal)
    else:
        refused = ""
    if refused:
        assert refused.startswith(f"{path.name} cannot be read: ")
        assert path.suffix in {".gz", ".bz2", ".dbf", ".xes", ".bpmn"}
        return
    assert all(row.line > 0 for row in rows)
    assert all(row.reason for row in rows if isinstance(row, BadRow))
    assert (
        all("\ufffd" not in str(row.values) for row in rows if isinstance(row, Row))
        or b"\xef\xbf\xbd" in path.read_bytes()
    )
    assert not table.unexpected
    if table.format == "csv" and table.columns:
        records = list(csv.reader(_lines(path, table.encoding), delimiter=table.delimiter or "\x1f"))
        blank = sum(1 for record in records if not any(record))
        header = 0 if table.header_row is None else 1
        # Blank records above the header belong to the preamble and are not counted.
        assert len(rows) + table.blank + len(table.preamble) + header in range(len(records) - blank, len(records) + 1)
        assert len(rows) == len(records) - blank - header - len(table.preamble)
    elif table.format == "vcard":
        assert len(rows) == sum(1 for line in _lines(path, table.encoding) if line.strip().upper() == "BEGIN:VCARD")


def _lines(path, encoding):
    text = path.read_bytes().decode(encoding, "replace").lstrip("\ufeff").replace("\r\r\n", "\r\n")
    return io.StringIO(text, newline="")


def test_the_sales_file_is_read_whole():
    table = open_table(SHARED / FOLDERS[0] / "sales_pipeline.csv", "sales_pipeline.csv")
    rows = [row for row in table.rows() if isinstance(row, Row)]
    assert len(rows) == 8800
    assert sum(row.values["product"] == "GTXPro" for row in rows) == 1480
    assert sum(not row.values["account"] for row in rows) == 1425


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("google_contacts_2024_export_header.csv", {
            "First Name": "given_name", "Last Name": "family_name", "Organization Name": "organisation_id",
            "Organization Title": "job_title", "E-mail 1 - Value": "email", "Phone 1 - Value": "phone",
            "Labels": "tags",
            "Notes": "note", "Address 1 - City": "address.city", "Address 1 - Postal Code": "address.postcode"}),
        ("hubspot_contacts_export_header_seen_in_code.csv", {
            "First Name": "given_name", "Last Name": "family_name", "Email": "email", "Phone Number": "phone",
            "Contact owner": "owner_id", "Lead Source": "source", "Associated Company": "organisation_id"}),
        ("mautic_contacts_import.csv", {"email": "email", "firstname": "given_name", "lastname": "family_name"}),
        ("pipedrive_sample_import_header.csv", {
            "Person - Name*": "name", "Person - First name": "given_name", "Person - Last name": "family_name",
            "Person - Phone": "phone", "Person - Email (Work)": "email", "Organization - Name*": "organisation_id"}),
        ("salesforce_dataloader_account_export_excerpt.csv", {
            "NAME": "name", "BILLINGCITY": "address.city", "BILLINGPOSTALCODE": "address.postcode", "PHONE": "phone",
            "WEBSITE": "website", "INDUSTRY": "industry", "DESCRIPTION": "note"}),
        ("suitecrm8_leads_export.csv", {
            "First Name": "given_name", "Job Title": "job_title", "Account Name": "organisation_id",
            "Email Address": "email", "Office Phone": "phone", "Website": "website", "Lead Source": "source"}),
        ("../csv_folkerkinzel/Outlook365.csv", {
            "First Name": "given_name", "Company": "organisation_id", "E-mail Address": "email",
            "Business Phone": "phone",
            "Business City": "address.city", "Categories": "tags", "Web Page": "website"}),
        ("../csv_folkerkinzel/ThunderbirdUtf8.csv", {
            "Vorname": "given_name", "Nachname": "family_name", "Anzeigename": "name", "Organisation": "organisation_id",  # noqa: E501
            "Primäre E-Mail-Adresse": "email", "Dienstlich: Ort": "address.city", "Notizen": "note"}),
        ("../csv_folkerkinzel/ThunderbirdUtf8EnglishColumnsInvalidBDay.csv", {
            "Display Name": "name", "Primary Email": "email", "Work Phone": "phone", "Work City": "address.city"}),
        ("../csv_folkerkinzel/Google.csv", {
            "Name": "name", "E-mail 1 - Value": "email", "Phone 1 - Value": "phone",
            "Organization 1 - Name": "organisation_id",
            "Group Membership": "tags", "Website 1 - Value": "website"}),
    ],
)  # fmt: skip
def test_exports_of_other_programs_find_their_fields(template, expected):
    path = SHARED / "06_contacts/crm_templates" / template
    mapping = suggest_mapping(open_table(path, path.name).columns, CUSTOMER)
    assert {column: mapping.get(column) for column in expected} == expected
    assert max(Counter(mapping.values()).values()) == 1


@pytest.mark.timeout(600)
def test_every_contact_and_odd_file_comes_in_or_is_refused_with_line_and_reason(app):
    """Through the import itself, and back: nothing unforeseen, no row unaccounted for, and no trace left."""
    wanted = [path for path in FILES if path.relative_to(SHARED).parts[0] in {"06_contacts", "09_odd_csv"}]
    assert len(wanted) > 100
    brought, refused_whole = 0, []
    for path in wanted:
        try:
            run = imports.start(app.site, app.admin, "customer", path, path.name)
            run = imports.decide(app.site, app.admin, run.id, **_as_somebody_would(app, run))
            run = imports.run(app.site, app.admin, run.id)
        except (Unreadable, Invalid):
            refused_whole.append(path.name)
            continue
        assert run.state == "done", path
        assert run.done == run.created + run.updated + run.unchanged + run.skipped + run.refused, path
        refused = imports.problems(app.site, app.admin, run.id, 1000)
        assert len({problem.line for problem in refused}) == run.refused, path
        assert all(problem.line > 0 and problem.message for problem in refused), path
        assert run.done or run.message, path
        brought += run.created
        undone = imports.undo(app.site, app.admin, run.id)
        assert (undone.state, undone.message) == ("undone", ""), path
    assert brought > 250
    assert sorted(refused_whole) == ["dummy.csv.bz2", "dummy.csv.gz", "empty.csv", "testdbf.dbf"]
    with app.site.read(app.admin) as reader:
        assert reader.all(Customer) == []


def _as_somebody_would(app, run):
    """The mapping as guessed; where no column is a name, the first one that became nothing, or else the first."""
    decided = {"mapping": dict(run.mapping), "on_missing": {}}
    if not {"name", "given_name", "family_name"} & set(run.mapping.values()):
        columns = [column.name for column in imports.look(app.site, app.admin, run.id).columns]
        decided["mapping"][next((name for name in columns if name not in run.mapping), columns[0])] = "name"
    if "organisation_id" in decided["mapping"].values():
        decided["on_missing"]["organisation_id"] = "create"
    return decided
