"""Everybody is answered in their language, and nobody sees another's."""

import threading

import pytest

from rapport.i18n.catalogs import (
    LANGUAGES,
    Texts,
    current_texts,
    direction,
    gettext,
    negotiate,
    ngettext,
    pgettext,
    read_catalog,
    texts_for,
    use_language,
)

FRENCH = """
msgid ""
msgstr ""
"Language: fr\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\\n"

msgid "Save"
msgstr "Enregistrer"

msgid "Hello %(name)s"
msgstr "Bonjour %(name)s"

msgid "%(num)s deal"
msgid_plural "%(num)s deals"
msgstr[0] "%(num)s affaire"
msgstr[1] "%(num)s affaires"

msgctxt "of a deal"
msgid "Close"
msgstr "Conclure"

#, fuzzy
msgid "Doubtful"
msgstr "Peut-être"

msgid "Not yet"
msgstr ""
"""


@pytest.fixture
def french(tmp_path):
    (tmp_path / "fr.po").write_text(FRENCH, "utf-8")
    return Texts("fr", [read_catalog(tmp_path / "fr.po")])


def test_texts_are_translated_filled_and_counted(french):
    assert french.gettext("Save") == "Enregistrer"
    assert french.gettext("Hello %(name)s", name="Ada") == "Bonjour Ada"
    assert [french.ngettext("%(num)s deal", "%(num)s deals", n) for n in (0, 1, 2)] == [
        "0 affaire",
        "1 affaire",
        "2 affaires",
    ]
    assert french.pgettext("of a deal", "Close") == "Conclure"


def test_what_is_not_translated_or_doubtful_shows_in_english(french):
    assert [french.gettext(text) for text in ("Close", "Not yet", "Doubtful", "100%")] == [
        "Close",
        "Not yet",
        "Doubtful",
        "100%",
    ]
    assert french.ngettext("%(num)s call", "%(num)s calls", 2) == "2 calls"


def test_the_first_catalogue_wins_so_a_plugin_cannot_rename_what_the_core_says():
    texts = Texts("fr", [{"Save": ("Enregistrer",)}, {"Save": ("Sauver",), "Card": ("Carte",)}])
    assert (texts.gettext("Save"), texts.gettext("Card")) == ("Enregistrer", "Carte")


def test_a_plugin_brings_its_own_texts(tmp_path, monkeypatch):
    package = tmp_path / "rapport_of_this_test"
    (package / "translations").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "translations" / "fr.po").write_text(FRENCH, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with use_language("fr", ["rapport_of_this_test"]):
        assert gettext("Hello %(name)s", name="Ada") == "Bonjour Ada"
    with use_language("zh", ["rapport_of_this_test"]):
        assert gettext("Hello %(name)s", name="Ada") == "Hello Ada"


def test_a_count_is_written_in_the_digits_of_the_language():
    assert Texts("fa").ngettext("%(num)s day", "%(num)s days", 12) == "۱۲ days"
    assert Texts("he").ngettext("%(num)s day", "%(num)s days", 12) == "12 days"


def test_the_language_holds_for_a_while_and_for_one_thread_only():
    heard = []
    with use_language("fa") as texts:
        assert current_texts() is texts
        assert texts.lang == "fa"
        thread = threading.Thread(target=lambda: heard.append(current_texts().lang))
        thread.start()
        thread.join()
        with use_language("he"):
            assert current_texts().lang == "he"
        assert current_texts().lang == "fa"
    assert (current_texts().lang, heard) == ("en", ["en"])
    assert ngettext("%(num)s day", "%(num)s days", 1) == "1 day"
    assert pgettext("of a deal", "Close") == "Close"


def test_a_language_we_do_not_speak_is_refused_by_name():
    with pytest.raises(ValueError, match=r"Rapport does not speak 'tlh'. It speaks en, fr, fa, he, zh."):
        texts_for("tlh")


@pytest.mark.parametrize(
    ("header", "preferred", "chosen"),
    [
        ("fr-CH, fr;q=0.9, en;q=0.8", None, "fr"),
        ("de, fa-IR;q=0.7, en;q=0.3", None, "fa"),
        ("zh-TW,zh;q=0.9", None, "zh"),
        ("iw", None, "he"),
        ("en;q=0.1, he;q=0.5", None, "he"),
        ("fr;q=0, en", None, "en"),
        ("fr", "zh", "zh"),
        ("fr", "tlh", "fr"),
        ("", None, "en"),
        (None, None, "en"),
        ("*", None, "en"),
        (";;q=,,=", None, "en"),
        ("fr;q=loud, he;q=0.2", None, "he"),
        ("de," * 5000, None, "en"),
    ],
)
def test_people_are_answered_in_the_language_they_asked_for(header, preferred, chosen):
    assert negotiate(header, preferred) == chosen


def test_persian_and_hebrew_run_from_right_to_left():
    assert {lang for lang in LANGUAGES if direction(lang) == "rtl"} == {"fa", "he"}
