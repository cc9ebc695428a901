"""For tests of Rapport and of plugins: real sites on real databases, made in a moment.

The pytest plugin brings the fixtures `make_app`, `app`, `actors` and `clock`:

    def test_a_disabled_plugin_keeps_its_rows(make_app):
        with make_app(plugins=["loyalty"]) as app:
            ada = app.create_customer(name="Ada")

Every test that uses them runs once on SQLite and once on PostgreSQL. See docs/testing.md.
"""

from rapport.testing.app import Actors, TestApp, make_test_site

__all__ = ["Actors", "TestApp", "make_test_site"]
