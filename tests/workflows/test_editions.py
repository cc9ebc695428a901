"""Editions carry workflows: as files of their own, over fields that the same edition brings; and back out of a site."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from rapport import Config, Site, system
from rapport.builtin.edition import apply_edition, export_edition, read_edition
from rapport.lifecycle import make_site
from rapport.workflows import Workflow
from rapport.workflows.reading import read_text
from rapport.workflows.templates import TEMPLATES

ROOT = Path(__file__).parents[2]
GREET = """name: greet
entity: customer
start: {date: x_birthday, yearly: true}
initial: greeting
states:
  greeting: {final: true}
"""


def test_an_edition_brings_workflows_and_a_site_gives_them_back(tmp_path: Path, database_url: str):
    folder = tmp_path / "birthdays"
    (folder / "workflows").mkdir(parents=True)
    (folder / "edition.toml").write_text('name = "birthdays"\nversion = "1.0.0"\n')
    (folder / "fields.toml").write_text(
        '[[custom_field]]\nentity = "customer"\nname = "x_birthday"\nlabel = "Birthday"\nkind = "date"\n'
    )
    (folder / "workflows" / "greet.yaml").write_text(GREET)
    config = Config(home=tmp_path / "site", database_url=database_url, secret_key="k" * 32, testing=True)
    make_site(config)
    apply_edition(config, read_edition(folder), actor=system("test"))
    with contextlib.closing(Site.open(config)) as site, site.read(system("test")) as reader:
        (workflow,) = reader.all(Workflow)
        assert (workflow.name, workflow.active, workflow.number) == ("greet", True, 1)
        assert [chart.definition.name for chart in site.charts.active()] == ["greet"]

    (folder / "edition.toml").write_text('name = "birthdays"\nversion = "1.1.0"\n')
    (folder / "workflows" / "greet.yaml").write_text(GREET.replace("yearly: true", "yearly: true, before: 1 day"))
    apply_edition(config, read_edition(folder), actor=system("test"))
    export_edition(config, tmp_path / "out", name="mine")
    with contextlib.closing(Site.open(config)) as site, site.read(system("test")) as reader:
        assert reader.all(Workflow)[0].number == 2
    assert "before: 1 day" in (tmp_path / "out" / "workflows" / "greet.yaml").read_text()
    assert not (tmp_path / "out" / "workflow.toml").exists()


def test_what_the_documents_and_templates_say_can_be_read():
    page = (ROOT / "docs" / "workflows.md").read_text("utf-8")
    shown = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(shown) >= 2
    for source in (*shown, *(each.source for each in TEMPLATES.values())):
        definition, mistakes, _document = read_text(source)
        assert definition is not None, mistakes


def test_the_reference_in_the_documents_is_the_grammar():
    tool = [sys.executable, str(ROOT / "tools" / "workflows_doc.py"), "--check"]
    done = subprocess.run(tool, env={**os.environ}, check=False)
    assert done.returncode == 0, "run: python tools/workflows_doc.py"
