"""Built-in plugins: the API, the web, import and export, the audit. They use public hooks only, and load first."""

BUILTIN: dict[str, str] = {
    "core": "rapport.builtin.nouns",
    "exchange": "rapport.builtin.exchange",
    "edition": "rapport.builtin.edition",
    "web": "rapport.builtin.web",
    "webhooks": "rapport.builtin.webhooks",
    "api": "rapport.builtin.api",
}
"""Name and module of each, in the order they load."""
