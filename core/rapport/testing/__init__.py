"""For tests of Rapport and of plugins: real sites on real databases, made in a moment.

The pytest plugin brings the fixture `make_app`:

    def test_a_disabled_plugin_keeps_its_rows(make_app):
        with make_app(plugins=["loyalty"]) as app:
            ada = app.create_customer(name="Ada")

Every test that uses it runs once on SQLite and once on PostgreSQL.
"""

from rapport.testing.app import TestApp, make_test_site

__all__ = ["TestApp", "make_test_site"]
