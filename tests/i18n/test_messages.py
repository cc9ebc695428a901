"""Every text of the core, every plugin and every vertical is translated: the tool looks for them itself."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ENTITIES = """
from rapport import Choice, Entity, Field, NavItem, Panel, Problem, Report, _, field, ngettext, ref

TIERS = ("bronze", "silver")

class Boat(Entity, name="harbour.boat", title="Boat", plural="Boats at anchor"):
    owner_id = ref("customer")
    hull_number: Mapped[str] = field(help="Painted on the hull.")
    length_in_feet: Mapped[int] = field(default=0)
    secret_key: Mapped[str] = field(secret=True)
    tier: Mapped[str] = field(label="Tier", choices=TIERS)
    state: Mapped[str] = field(label="State", choices=[Choice("sold", "Sold away")])

class Jetty(Entity, name="harbour.jetty"):
    boat_id: Mapped[UUID] = ref("harbour.boat")

REPORT = Report("harbour.tides", "Tides", [Field("high", "High water", "integer")], tides, "harbour.boat.read")
PANELS = [Panel("customer.side", "Boats of theirs", "boats.html"), NavItem("The harbour", "/harbour", "ship")]

HELP = "How far it reaches."
LENGTHS = [field(label="Reach", help=HELP)]

def menu(path):
    text, items = g.texts.gettext, []
    return [*items, text("Over the bar")]

@command.option("--all", help="Said on the command line only.")
def check(n):
    _("Ahoy, %(name)s!", name=n)
    ngettext("%(num)s sail", "%(num)s sails", n)
    return Problem("boat", "has no anchor.")
"""
TEMPLATE = """{{ _("Harbour master") }}
{% trans count=boats %}{{ count }} boat{% pluralize %}{{ count }} boats{% endtrans %}
{{ pgettext("of a harbour", "Close") }}"""

EDITION = {
    "edition.toml": 'name = "fishing"\ntitle = "Fishing"\nsummary = "For those who fish."\n[modules]\nharbour = "*"',
    "pipeline.toml": '[[pipeline]]\nname = "Catches"\n[[pipeline.stage]]\ntitle = "On the hook"\ncolor = "azure"',
    "fields.toml": '[[custom_field]]\nname = "x_bait"\nlabel = "Bait"\nkind = "choice"\nchoices = ["Worm"]',
    "terms.toml": '[term.fr]\n"Boat" = "Chalutier"',
}


@pytest.fixture(scope="module")
def messages():
    """The tool, as `python tools/messages.py` runs it."""
    spec = importlib.util.spec_from_file_location("messages", ROOT / "tools" / "messages.py")
    tool = importlib.util.module_from_spec(spec)
    sys.modules["messages"] = tool
    spec.loader.exec_module(tool)
    yield tool
    del sys.modules["messages"]


@pytest.fixture
def run(messages):
    return lambda root, *arguments: messages.main(["--root", str(root), *arguments])


@pytest.fixture
def checkout(tmp_path):
    core = tmp_path / "core" / "rapport"
    core.mkdir(parents=True)
    (core / "__init__.py").write_text('_("Save")\n')
    boats = tmp_path / "plugins" / "harbour" / "rapport_harbour"
    (boats / "templates" / "harbour").mkdir(parents=True)
    (boats / "__init__.py").write_text(ENTITIES + '_("Save")\n')
    (boats / "templates" / "harbour" / "boats.html").write_text(TEMPLATE)
    (boats / "edition").mkdir()
    for name, text in EDITION.items():
        (boats / "edition" / name).write_text(text)
    (boats.parent / "pyproject.toml").write_text('[project]\nname = "rapport-harbour"\ndescription = "Boats at rest."')
    return tmp_path


@pytest.fixture(scope="module")
def everything(messages):
    return messages.wanted()


def test_no_text_is_added_without_its_translations(messages, everything):
    missing = list(messages.shortcomings(everything))
    assert not missing, "\n".join(
        [*missing, "Run `python tools/messages.py`, then translate: see docs/translating.md."]
    )


def test_the_files_of_the_translators_keep_nothing_that_is_no_longer_said(messages, everything):
    for package, own in everything.items():
        for lang in messages.TRANSLATED:
            gone = set(messages.kept(package.catalog_file(lang))) - set(own)
            assert not gone, f"{package.name} in {lang}: run `python tools/messages.py`."


def test_words_of_definitions_calls_and_templates_are_all_found(checkout, run):
    assert run(checkout) == 0
    french = (checkout / "plugins/harbour/rapport_harbour/translations/fr.po").read_text("utf-8")
    for text in (
        "Boat",
        "Boats at anchor",
        "Painted on the hull.",
        "Hull number",
        "Length in feet",
        "Tier",
        "Bronze",
        "Silver",
        "State",
        "Sold away",
        "Jetty",
        "Jettys",
        "Boats of theirs",
        "The harbour",
        "Tides",
        "High water",
        "Ahoy, %(name)s!",
        "%(num)s sail",
        "has no anchor.",
        "Harbour master",
        "%(count)s boat",
        "Close",
        "How far it reaches.",
        "Over the bar",
        "Harbour",
        "Boats at rest.",
        "Fishing",
        "For those who fish.",
        "Catches",
        "On the hook",
        "Bait",
        "Worm",
    ):
        assert f'msgid "{text}"\n' in french, text
    for text in (
        "Secret key",
        "Said on the command line only.",
        "Save",
        "harbour.boat",
        "x_bait",
        "azure",
        "Chalutier",
    ):
        assert f'msgid "{text}"\n' not in french, text
    assert 'msgctxt "of a harbour"\nmsgid "Close"' in french


def test_translations_are_kept_and_running_again_changes_nothing(checkout, run):
    run(checkout)
    file = checkout / "core/rapport/translations/fr.po"
    file.write_text(
        file.read_text("utf-8").replace('msgid "Save"\nmsgstr ""', 'msgid "Save"\nmsgstr "Enregistrer"'), "utf-8"
    )
    run(checkout)
    before = {path: path.read_bytes() for path in checkout.rglob("*.po")}
    assert b"Enregistrer" in before[file]
    assert len(before) == 8
    run(checkout)
    assert before == {path: path.read_bytes() for path in checkout.rglob("*.po")}


def test_every_language_keeps_as_many_plural_forms_as_it_counts_with(checkout, run, messages):
    run(checkout)
    for lang in messages.TRANSLATED:
        forms = set(map(messages.LANGUAGES[lang].plural, range(200)))
        text = (checkout / f"plugins/harbour/rapport_harbour/translations/{lang}.po").read_text("utf-8")
        sails = next(block for block in text.split("\n\n") if "%(num)s sail" in block)
        assert sails.count("msgstr[") == len(forms), lang


def test_a_text_that_moves_to_the_core_takes_its_translation_along(checkout, run):
    run(checkout)
    file = checkout / "plugins/harbour/rapport_harbour/translations/he.po"
    file.write_text(file.read_text("utf-8").replace('msgid "Tier"\nmsgstr ""', 'msgid "Tier"\nmsgstr "דרגה"'), "utf-8")
    (checkout / "core/rapport/__init__.py").write_text('_("Save"), _("Tier")\n')
    run(checkout)
    assert 'msgid "Tier"\nmsgstr "דרגה"' in (checkout / "core/rapport/translations/he.po").read_text("utf-8")
    assert "Tier" not in file.read_text("utf-8")


def test_the_check_names_what_is_missing_or_lost_a_placeholder(checkout, run, capsys):
    run(checkout)
    file = checkout / "plugins/harbour/rapport_harbour/translations/fr.po"
    file.write_text(
        file.read_text("utf-8").replace('Ahoy, %(name)s!"\nmsgstr ""', 'Ahoy, %(name)s!"\nmsgstr "Ohé !"'), "utf-8"
    )
    assert run(checkout, "--check") == 1
    told = capsys.readouterr().err
    assert "rapport in zh: 'Save' is not translated." in told
    assert "rapport_harbour in fr: 'Ahoy, %(name)s!' has other placeholders than its translation 'Ohé !'." in told
    assert "Run `python tools/messages.py`, then translate the empty entries: see docs/translating.md." in told
