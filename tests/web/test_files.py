"""Files: brought along with a call, kept safely, given to whoever may see the call, and forgotten in the end."""

from __future__ import annotations

import datetime as dt
import io
import os
import re
import uuid
import zipfile
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from rapport import Attachment, Customer, Interaction, Invalid, store, system
from rapport.access import Role
from rapport.customers.service import merge, undo_merge
from rapport.files import FOLDER, find_files, path_of, plain_name, stored_file
from rapport.records.unit import undo

from .conftest import Person

OFFER = b"%PDF-1.7 two panels, one battery"


def log_call(person: Person, customer: Customer, *files: tuple[bytes, str], status: int = 200, **data: Any) -> str:
    person.opens(f"/customer/{customer.id}")
    sent = {"files": [(io.BytesIO(raw), name) for raw, name in files]} if files else {}
    return person.sends(f"/customer/{customer.id}/log", status, kind="call", subject="Sent the offer", **sent, **data)


def links(page: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r'href="(/attachment/[^"]+/file/file)"', page)))


def kept_on_disk(app: Any) -> list[str]:
    return sorted(path.name for path in (app.site.config.files / FOLDER).rglob("*") if path.is_file())


def test_a_file_comes_along_with_a_call_and_is_found_on_the_timeline_and_beside_it(app: Any) -> None:
    ada = app.create_customer(name="Ada")
    mia = Person(app, app.user("Mia"))
    log_call(mia, ada, (OFFER, "Offer für Ada.pdf"), (b"a,b", "prices.csv"))
    page = mia.opens(f"/customer/{ada.id}")
    assert page.count("Offer für Ada.pdf") >= 2
    first, second = links(page)[:2]
    assert {mia.downloads(first), mia.downloads(second)} == {OFFER, b"a,b"}
    with mia.browser.get(first) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_refused_beside_a_file_does_not_cost_the_file(app: Any) -> None:
    ada = app.create_customer(name="Ada")
    mia = Person(app, app.user("Mia"))
    page = log_call(mia, ada, (OFFER, "offer.pdf"), status=422, due_on="2027-01-01")
    kept = re.search(r'name="kept" value="([^"]+)" checked', page)
    assert kept is not None
    log_call(mia, ada, kept=kept[1])
    assert mia.downloads(links(mia.opens(f"/customer/{ada.id}"))[0]) == OFFER
    assert len(kept_on_disk(app)) == 1


def test_a_form_keeps_the_file_changes_it_and_shows_who_changed_it(app: Any) -> None:
    ada = app.create_customer(name="Ada")
    mia = Person(app, app.user("Mia"))
    log_call(mia, ada, (OFFER, "offer.pdf"))
    with app.site.read(app.admin) as reader:
        made = reader.all(Attachment)[0]
    address = f"/attachment/{made.id}"
    page = mia.opens(f"{address}/edit")
    assert "Now: offer.pdf" in page
    assert 'enctype="multipart/form-data"' in page
    mia.sends(f"{address}/edit", version=1, name="The offer", file=str(made.file))
    assert mia.downloads(f"{address}/file/file") == OFFER
    mia.opens(f"{address}/edit")
    mia.sends(f"{address}/edit", version=2, name="The offer", file=str(made.file),
              **{"file.file": (io.BytesIO(b"better"), "better.pdf")})  # fmt: skip
    assert mia.downloads(f"{address}/file/file") == b"better"
    history = mia.opens(f"{address}/history")
    assert "better.pdf" in history
    assert "offer.pdf" in history


def test_a_file_is_seen_by_those_who_see_its_record_and_by_nobody_else(app: Any) -> None:
    ada = app.create_customer(name="Ada")
    log_call(Person(app, app.user("Mia")), ada, (OFFER, "offer.pdf"))
    link = links(Person(app).opens(f"/customer/{ada.id}"))[0]
    with app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "narrow", "grants": {
            "customer.read": "all", "interaction.read": "own", "attachment.read": "all", "attachment.create": "all",
            "interaction.create": "all",
        }})  # fmt: skip
    noa = app.user("Noa", roles=["narrow"])
    stranger = Person(app, noa)
    assert stranger.browser.get(link).status_code == 404
    assert app.api(noa).get(f"/api/v1{link.removesuffix('/file')}").status_code == 404
    assert "offer.pdf" not in stranger.opens(f"/customer/{ada.id}")
    # Nor does it help to know the file's id: nobody puts another's upload into a record of their own.
    with app.site.read(app.admin) as reader:
        file_id = reader.all(Attachment)[0].file
    log_call(stranger, ada)
    with app.site.read(noa) as reader:
        own = reader.all(Interaction)[0]
    answer = app.api(noa).post("/api/v1/attachment", json={"interaction_id": str(own.id), "file": str(file_id)})
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"field": "file", "message": "is no file that you have uploaded."}]
    page = stranger.opens(f"/attachment/new?interaction_id={own.id}&file={file_id}")
    assert "offer.pdf" not in page
    assert "offer.pdf" not in stranger.sends("/attachment/new", 422, interaction_id=str(own.id), file=str(file_id))


def test_programs_upload_first_and_then_put_the_file_into_a_record(app: Any) -> None:
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        call = unit.create(Interaction, {"customer_id": str(ada.id), "kind": "call", "subject": "Offer"})
    api = app.client
    sent = api.post("/api/v1/file", data={"file": (io.BytesIO(OFFER), "../../etc/offer.pdf")})
    assert sent.status_code == 201
    assert {key: sent.get_json()[key] for key in ("name", "media_type", "size")} == {
        "name": "offer.pdf", "media_type": "application/pdf", "size": len(OFFER),
    }  # fmt: skip
    made = api.post("/api/v1/attachment", json={"interaction_id": str(call.id), "file": sent.get_json()["id"]})
    assert made.get_json()["name"] == "offer.pdf"
    with api.get(f"/api/v1/attachment/{made.get_json()['id']}/file") as got:
        assert got.data == OFFER
        assert "filename=offer.pdf" in got.headers["Content-Disposition"]
    for wrong, status, field in (
        (api.post("/api/v1/file", json={}), 415, None),
        (api.post("/api/v1/file", data={"other": "x"}, content_type="multipart/form-data"), 422, "file"),
        (api.post("/api/v1/attachment", json={"interaction_id": str(call.id), "file": str(uuid.uuid4())}), 422, "file"),
        (api.post("/api/v1/attachment", json={"interaction_id": str(call.id)}), 422, "file"),
    ):
        assert wrong.status_code == status
        assert [each["field"] for each in wrong.get_json().get("errors", [])] == ([field] if field else [])
    paths = api.get("/api/openapi.json").get_json()["paths"]
    assert "multipart/form-data" in paths["/api/v1/file"]["post"]["requestBody"]["content"]
    assert "get" in paths["/api/v1/attachment/{id}/file"]


def test_what_is_too_large_is_refused_and_leaves_nothing(app: Any) -> None:
    limit = app.site.config.max_upload_mb

    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b"x" * size

    with pytest.raises(Invalid, match=f"The file is too large: at most {limit} MB."):
        store(app.site, Endless(), "endless.bin", app.admin)
    assert kept_on_disk(app) == []
    with app.site.db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(stored_file)) == 0


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("C:\\Users\\ada\\Offer.pdf", "Offer.pdf"), ("../../etc/passwd", "passwd"), ("", "file"), ("...", "file"),
        ("inv\u202efdp.exe", "invfdp.exe"), ("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt"),
        ("پیشنهاد.pdf", "پیشنهاد.pdf"), ("x" * 400 + ".pdf", "x" * 179 + ".pdf"),
    ],
)  # fmt: skip
def test_names_are_shown_and_never_trusted(given: str, kept: str) -> None:
    assert plain_name(given) == kept


def test_merging_takes_files_along_and_undoing_gives_them_back(app: Any) -> None:
    ada, byron = app.create_customer(name="Ada"), app.create_customer(name="Ada Byron")
    mia = Person(app)
    log_call(mia, byron, (OFFER, "offer.pdf"))
    batch = merge(app.site, app.admin, ada.id, [byron.id])
    assert mia.downloads(links(mia.opens(f"/customer/{ada.id}"))[0]) == OFFER
    undo_merge(app.site, app.admin, batch)
    assert links(mia.opens(f"/customer/{ada.id}")) == []
    assert mia.downloads(links(mia.opens(f"/customer/{byron.id}"))[0]) == OFFER


def test_a_deleted_file_comes_back_by_undo_and_is_forgotten_after_a_month(app: Any, clock: Any) -> None:
    ada = app.create_customer(name="Ada")
    mia = Person(app)
    log_call(mia, ada, (OFFER, "offer.pdf"))
    app.settle()
    with app.site.read(app.admin) as reader:
        made = reader.all(Attachment)[0]

    def delete() -> UUID:
        batch = uuid.uuid4()
        with app.site.write(app.admin, batch=batch) as unit:
            unit.delete(unit.get(Attachment, made.id))
        return batch

    def another_day(days: int) -> None:
        clock.forward(days=days)
        app.settle()

    batch = delete()
    another_day(2)
    with app.site.write(app.admin) as unit:
        assert undo(unit, batch) == []
    another_day(60)
    with app.site.read(app.admin) as reader:
        assert reader.all(Attachment)[0].file == made.file
        assert find_files(reader.session, [made.file])
    assert path_of(app.site.config, made.file).read_bytes() == OFFER

    delete()
    another_day(2)
    another_day(31)
    assert not path_of(app.site.config, made.file).exists()
    with app.site.db.read() as connection:
        assert find_files(connection, [made.file]) == {}


def test_bytes_that_nothing_knows_of_are_swept_and_backups_take_the_others(app: Any, clock: Any, tmp_path: Any) -> None:
    ada = app.create_customer(name="Ada")
    log_call(Person(app), ada, (OFFER, "offer.pdf"))
    stray = path_of(app.site.config, uuid.uuid4())
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"nobody's")
    past = (clock.now - dt.timedelta(days=5)).timestamp()
    os.utime(stray, (past, past))
    app.settle()
    clock.forward(days=1)
    app.settle()
    assert not stray.exists()
    from rapport_cli.archive import make_backup

    make_backup(app.site.config, tmp_path / "backups" / "site.zip")
    with zipfile.ZipFile(tmp_path / "backups" / "site.zip") as archive:
        inside = [name for name in archive.namelist() if name.startswith(f"files/{FOLDER}/")]
        assert [archive.read(name) for name in inside] == [OFFER]


def test_a_call_about_a_deal_is_logged_on_the_deal_with_its_offer(make_app: Any) -> None:
    with make_app(plugins=["sales"]) as app:
        ada, bob = app.create_customer(name="Ada"), app.create_customer(name="Bob")
        made = app.client.post(
            "/api/v1/sales.opportunity", json={"name": "Roof", "customer_id": str(ada.id)}
        ).get_json()
        mia = Person(app)
        page = mia.opens(f"/sales.opportunity/{made['id']}")
        log = re.search(r'hx-get="(/customer/[^"]+/log\?[^"]+)"', page)
        assert log is not None
        mia.opens(log[1].replace("&amp;", "&"))
        about = {"about_entity": "sales.opportunity", "about_id": made["id"]}
        assert f'name="about_id" value="{made["id"]}"' in mia.page
        log_call(mia, ada, (OFFER, "offer.pdf"), **about)
        assert mia.url == f"/sales.opportunity/{made['id']}"
        page = mia.opens(f"/sales.opportunity/{made['id']}")
        assert "Sent the offer" in page
        assert mia.downloads(links(page)[0]) == OFFER
        assert "Sent the offer" in mia.opens(f"/customer/{ada.id}")
        log_call(mia, bob, status=404, **about)
