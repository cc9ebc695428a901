"""The contract bites: a plugin that breaks a promise is told which, where, and what to do."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import importlib_metadata
import pytest
from click.testing import CliRunner

from rapport.testing import contract
from rapport_cli import cli
from rapport_cli.new import words_for, write_package
from rapport_cli.revision import write_revision

TERRIBLE_ENTITIES = """

class Never(Entity, name="{name}.never", title="Never"):
    label: Mapped[str] = field(label="Label")

    def validate(self):
        return [Problem("label", "is never right.")]
"""
TERRIBLE_PLUGIN = """

def one_by_one(reader, ids):
    return {{each: reader.get(Customer, each).name for each in ids}}


def fails(reader, record):
    raise RuntimeError("no panel today")


def breaks(unit, records, values):
    raise RuntimeError("no button today")


def write(outgoing, site):
    return Receipt("written")


def sneak(context):
    past = Outgoing(context.job_id, 1, "{name}", "ada@example.org", "Ada", "", "Hello", "", "en", "")
    context.site.channels["{name}"].send(past, context.site)


@hookimpl
def register_channels():
    return [Channel("{name}", "Paper", "note", "email", write)]


@hookimpl
def register_jobs():
    return [Job("{name}.sneak", "Sneak", sneak)]


def unsafe(text):
    return eval(text)


@hookimpl
def register_settings():
    return [Setting("goal", "Goal")]


@hookimpl
def register_measures():
    return [
        Measure("{name}.amount", "Amount", of="{name}.{noun}", how="sum", value="amuont", at="label", filter="size > 1",
                kind="money", currency="curency"),
        Measure("{name}.strange", "Strange", of="{name}.{noun}", how="sum", value=lambda entity: entity.nothing),
        Measure("{name}.share", "Share", over=("{name}.amount", "{name}.nothing"), kind="percent"),
    ]


@hookimpl
def register_dimensions():
    return [Dimension("{name}.colour", "Colour", of="{name}.{noun}", value="colour"),
            Dimension("{name}.way", "Way", of="customer", value="id", via="nobody_id")]


@hookimpl
def register_columns():
    return [Column("customer", "again", "Again", one_by_one)]


@hookimpl
def register_actions():
    return [Action("{name}.{noun}", "press", "Press", "star", "{name}.{noun}.press", breaks)]


@hookimpl
def plugin_enabled(plugin, session):
    for each in session.scalars(select({Class})):
        session.delete(each)
"""
STRAY = """
    op.add_column("{name}_{noun}", sa.Column("forgotten", sa.Text()))
    op.create_table("stray_{name}", sa.Column("id", sa.Integer(), primary_key=True))
"""
Write = Callable[..., tuple[str, Path]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a new plugin, spoil some of its files, and install it: `write(("README.md", "old", "new"), …)`."""
    made: list[str] = []

    def make(*changes: tuple[str, str, str]) -> tuple[str, Path]:
        name = f"alpha{uuid.uuid4().hex[:6]}"
        words = {**words_for(name, "thing"), "tools": ""}
        folder = tmp_path / name
        write_package("plugin", folder, words)
        for path, old, new in changes:
            file = folder / path.format(**words)
            text = file.read_text("utf-8")
            assert old.format(**words) in text
            file.write_text(text.replace(old.format(**words), new.format(**words), 1), "utf-8")
        info = folder / f"rapport_{name}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rapport-{name}\nVersion: 0.1.0\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[rapport.plugins]\n{name} = rapport_{name}\n", "utf-8")
        monkeypatch.syspath_prepend(str(folder))
        importlib_metadata.MetadataPathFinder.invalidate_caches()
        made.append(f"rapport_{name}")
        return name, folder

    yield make
    for module in [each for each in sys.modules if each.split(".")[0] in made]:
        del sys.modules[module]
    importlib_metadata.MetadataPathFinder.invalidate_caches()


def kept(name: str, home: Path) -> dict[str, contract.Result]:
    plugin = contract.subject(name)
    home.mkdir(exist_ok=True)
    results = [*contract.read(plugin), *contract.run(plugin, f"sqlite:///{home / 'rapport.db'}", home)]
    return {result.check.name: result for result in results}


def said(results: dict[str, contract.Result]) -> str:
    return "\n".join(finding.said for result in results.values() for finding in result.findings)


def test_every_promise_that_is_broken_is_told(write: Write, tmp_path: Path) -> None:
    name, folder = write(
        ("pyproject.toml", '"{Nouns} of customers."', '"{Nouns} of customers"'),
        ("pyproject.toml", "rapport-crm>=0.1", "rapport-crm"),
        ("pyproject.toml", '{name} = "{package}"', '{name} = "{package}"\nother = "{package}"\n\n'
         '[tool.rapport.exemptions]\nit_is_a_poem = "A check of this name has never been written."'),
        ("{package}/entities.py", "from rapport import UUID, Entity", "from rapport import UUID, Entity, Problem"),
        ("{package}/entities.py", '"viewer": "read"', '"viewer": "read update"'),
        ("{package}/entities.py", 'default="")', f'default="")\n{TERRIBLE_ENTITIES}'),
        ("{package}/plugin.py", "from rapport import Entity", "import hypothesis\nfrom sqlalchemy import select\n"
         "from rapport.records.unit import Unit\n"
         "from rapport import Action, Channel, Column, Customer, Dimension, Entity, Job\n"
         "from rapport import Measure, Outgoing, Receipt, Setting"),
        ("{package}/plugin.py", "import {Class}", "import {Class}, Never"),
        ("{package}/plugin.py", "return [{Class}]", f"return [{{Class}}, Never]\n{TERRIBLE_PLUGIN}"),
        ("{package}/panels.py", "    records =", '    raise RuntimeError("no panel today")\n    records ='),
        ("{package}/templates/{name}/recent.html", "<ul", '<p style="color: red">Hello</p><ul'),
    )  # fmt: skip
    (folder / "README.md").unlink()
    (folder / f"rapport_{name}" / "py.typed").unlink()
    (folder / "tests" / f"test_{name}.py").unlink()
    (folder / f"rapport_{name}" / "with_loyalty.py").write_text('"""Beside cards."""\n\nimport rapport_loyalty\n')
    migration = write_revision(name, "Make the tables")
    migration.write_text(migration.read_text("utf-8") + STRAY.format(name=name, noun="thing"), "utf-8")
    results = kept(name, tmp_path / "site")
    bitten = {check for check, result in results.items() if not result.kept}
    everything = {check.name for check in contract.CHECKS} | {"its_exemptions_name_checks"}
    # What does not load is tried no further, so that promise has a story of its own, and so have pages of nothing.
    # A purge takes along whatever a migration made, also the stray table: there is nothing left to find.
    stories = {"it_loads_alone", "its_pages_stand_while_there_is_nothing", "purging_takes_all_its_tables_along",
               "its_bridges_stand_where_the_others_are_there"}  # fmt: skip
    assert everything - bitten <= stories
    told = said(results)
    for sentence in (
        "the description is a sentence: it ends with a full stop",
        "rapport-crm has no lower bound: write rapport-crm>=0.1",
        f"under rapport.plugins stands {name}, other, not '{name}'",
        "there is no README.md beside pyproject.toml",
        f"there is no rapport_{name}/py.typed, an empty file",
        "'rapport.records.unit.Unit' is not public. See rapport.__all__.",
        "'hypothesis' is not among the dependencies in pyproject.toml.",
        "eval() (text never runs)",
        "(no style of its own on an element)",
        "'Hello' is not translated: write {{ _('…') }}",
        f"the setting 'goal' must be named '{name}.<setting>'",
        f"{name}.amount: there is no field 'amuont'.",
        f"{name}.amount: at='label' is no date or moment of {name}.thing.",
        f"{name}.amount: its filter cannot be used: at character 1: {name}.thing has no field 'size'.",
        f"{name}.amount: there is no currency 'curency'.",
        f"{name}.strange: its value cannot be worked out: type object 'Thing' has no attribute 'nothing'",
        f"{name}.share: there is no measure '{name}.nothing'.",
        f"{name}.colour: there is no field 'colour'.",
        f"{name}.way: no kind of record has a reference 'nobody_id' to customer.",
        f"Press: there is no permission '{name}.thing.press'",
        f"{name}.thing: viewers are granted {name}.thing.update",
        f"Write what is missing: rapport db revision {name}",
        f"{name}.never cannot be made: ",
        f"{name} failed in panel customer.side:{name}/recent.html: no panel today",
        'write loyalty = ["rapport-loyalty"] under [project.optional-dependencies]',
        "'rapport_loyalty' is not among the dependencies in pyproject.toml.",
        "/customer needs ",
        "no button today",
        f"something went to ada@example.org by the channel '{name}' past the gate: use send()",
        "switched on again, rows are missing",
        "there is no check 'it_is_a_poem' to be exempt from",
    ):
        assert sentence in told


def test_what_does_not_load_is_told_why_and_tried_no_further(write: Write, tmp_path: Path) -> None:
    name, _folder = write(("{package}/entities.py", 'name="{name}.{noun}"', 'name="elsewhere.{noun}"'))
    results = kept(name, tmp_path / "site")
    loading = results["it_loads_alone"]
    assert f"the entity 'elsewhere.thing' must be named '{name}.<something>'" in loading.findings[0].said
    assert "its_names_follow_the_grammar" not in results


BRIDGE = """
from rapport import Panel, hookimpl
from rapport_loyalty import Card


def fails(reader, record):
    raise RuntimeError("no points today")


@hookimpl
def register_panels():
    return [Panel("loyalty.card.side", "Points", "{name}/recent.html", facts=fails)]
"""


def test_a_bridge_is_tried_where_the_other_plugin_is_there(write: Write, tmp_path: Path) -> None:
    name, folder = write(
        ("pyproject.toml", '{name} = "{package}"', '{name} = "{package}"\n\n[project.optional-dependencies]\n'
         'loyalty = ["rapport-loyalty"]'),
        ("{package}/plugin.py", "from rapport import", "from . import with_loyalty as _never\nfrom rapport import"),
    )  # fmt: skip
    (folder / f"rapport_{name}" / "with_loyalty.py").write_text(BRIDGE.format(name=name))
    with (folder / f"rapport_{name}-0.1.0.dist-info" / "METADATA").open("a") as metadata:
        metadata.write("Provides-Extra: loyalty\nRequires-Dist: rapport-loyalty; extra == 'loyalty'\n")
    results = kept(name, tmp_path / "site")
    assert "nobody imports a bridge" in said({"": results["only_its_bridges_know_what_may_be_missing"]})
    assert results["it_imports_only_what_it_declares"].kept
    told = said({"": results["its_bridges_stand_where_the_others_are_there"]})
    assert "together: /loyalty.card/" in told
    assert f"{name} failed in panel loyalty.card.side:{name}/recent.html: no points today" in told
    assert results["what_is_switched_off_keeps_its_rows"].kept


def test_the_terminal_tells_each_promise_and_ends_with_1_when_one_is_broken(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no site is
    name, folder = write(("{package}/entities.py", 'name="{name}.{noun}"', 'name="elsewhere.{noun}"'))
    (folder / "README.md").unlink()
    answer = CliRunner().invoke(cli, ["plugins", "check", name])
    assert answer.exit_code == 1
    assert "  it ships its types\n" in answer.output
    assert "  NOT: it has a readme\n       there is no README.md beside pyproject.toml\n" in answer.output
    assert "on SQLite:\n  NOT: it loads alone\n" in answer.output


def test_a_page_that_fails_on_an_empty_site_is_found(write: Write, tmp_path: Path) -> None:
    name, _folder = write(
        ("{package}/panels.py", "    records =", "    assert record is not None\n    records ="),
        ("{package}/panels.py", "record: Customer)", "record: Customer | None = None)"),
        ("{package}/plugin.py", 'slot="customer.side"', 'slot="home"'),
    )
    results = kept(name, tmp_path / "site")
    assert not results["its_pages_stand_while_there_is_nothing"].kept
    assert "/: " in results["its_pages_stand_while_there_is_nothing"].findings[0].said


def test_an_exemption_says_why_and_is_needed(write: Write, tmp_path: Path) -> None:
    exemptions = """

[tool.rapport.exemptions]
it_ships_its_types = "Whoever builds on this plugin checks nothing anyway."
its_code_is_safe = "why not"
it_has_a_readme = "There was none when this was written, long ago."

[tool.rapport.exemptions.its_texts_can_be_translated]
"{package}/templates/{name}/recent.html" = "The word is the name of a company."
"""
    name, folder = write(
        ("pyproject.toml", '{name} = "{package}"\n', '{name} = "{package}"\n' + exemptions),
        ("{package}/plugin.py", "\n@hookimpl", "\ndef unsafe(text):\n    return eval(text)\n\n\n@hookimpl"),
        ("{package}/templates/{name}/recent.html", "<ul", "<p>Acme</p><ul"),
    )
    (folder / f"rapport_{name}" / "py.typed").unlink()
    results = {result.check.name: result for result in contract.read(contract.subject(name))}
    assert results["it_ships_its_types"].exempt == ("py.typed",)
    assert results["its_texts_can_be_translated"].kept
    assert said(results) == (
        "The exemption from 'it_has_a_readme' is not needed any more. Take it out of pyproject.toml.\n"
        "The exemption from 'its_code_is_safe' does not say why, in a sentence. Write it into pyproject.toml."
    )
