"""In the long run nothing is skipped quietly."""

import pytest

pytest_plugins = ["pytester"]

STORIES = """
    import pytest
    def test_needs_a_browser(): pytest.skip("no Chromium: apt install chromium")
    @pytest.mark.xfail
    def test_known(): raise AssertionError
"""


def test_a_skip_is_a_failure_that_gives_the_reason_where_everything_is_required(pytester, monkeypatch):
    monkeypatch.setenv("RAPPORT_REQUIRE_ALL", "1")
    pytester.makepyfile(STORIES)
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    outcome.assert_outcomes(failed=1, xfailed=1)
    outcome.stdout.fnmatch_lines(["*no Chromium: apt install chromium*", "*RAPPORT_REQUIRE_ALL=1*"])


def test_a_file_skipped_as_a_whole_is_a_failure_too(pytester, monkeypatch):
    monkeypatch.setenv("RAPPORT_REQUIRE_ALL", "1")
    pytester.makepyfile('import pytest\npytest.skip("no shared data", allow_module_level=True)')
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert outcome.ret != pytest.ExitCode.OK
    outcome.stdout.fnmatch_lines(["*no shared data*"])


def test_elsewhere_a_skip_stays_a_skip(pytester, monkeypatch):
    monkeypatch.delenv("RAPPORT_REQUIRE_ALL", raising=False)
    pytester.makepyfile(STORIES)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(skipped=1, xfailed=1)
