"""The page of the edition: what is applied, what the site changed, and where both clashed."""

from __future__ import annotations

from pathlib import Path

from rapport import Stage, system
from rapport.access.model import Role
from rapport.builtin.edition import apply_edition, read_edition

TEXT = """
[[role]]
name = "marketing"
title = "{title}"
[[pipeline]]
entity = "sales.opportunity"
name = "Retailers"
[[pipeline.stage]]
title = "Contacted"
probability = 10
[setting]
"core.currency" = "USD"
"""


def write(folder: Path, version: str, title: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "edition.toml").write_text(f'name = "pools"\ntitle = "Pool supplies"\nversion = "{version}"\n', "utf-8")
    (folder / "fit.toml").write_text(TEXT.format(title=title), "utf-8")
    return folder


def test_an_administrator_sees_what_is_applied_what_the_site_changed_and_the_clashes(make_app, tmp_path):
    actor = system("rapport edition apply").through("cli")
    with make_app(plugins=["sales"]) as app:
        page = app.browser().get("/admin/edition").get_data(as_text=True)
        assert "No edition is applied" in page
        assert "Consumer goods" in page, "it lists those that are installed"
        apply_edition(app.site.config, read_edition(write(tmp_path / "one", "1.0.0", "Marketing")), actor=actor)
        assert "nothing was changed by hand" in app.browser().get("/admin/edition").get_data(as_text=True)
        with app.site.write(app.admin) as unit:
            unit.update(unit.reader.all(Role, Role.name == "marketing")[0], {"title": "Ours"})
            unit.update(unit.reader.all(Stage, Stage.title == "Contacted")[0], {"probability": 15})
            unit.create(Role, {"name": "interns"})
        apply_edition(app.site.config, read_edition(write(tmp_path / "two", "1.1.0", "Marketing and PR")), actor=actor)
        page = app.browser().get("/admin/edition").get_data(as_text=True)
        for text in ("Pool supplies", "1.1.0", "Both changed it.", "Marketing and PR", "Ours",
                     "Opportunities / Retailers / Contacted",
                     "Probability in %", "15", "interns", "added"):  # fmt: skip
            assert text in page, text
        member = app.browser(app.user("Mia")).get("/admin/edition")
        assert member.status_code == 403
