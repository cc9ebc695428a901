"""Where a site lives and how it is reached: `rapport.toml`, the environment, one frozen object."""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from rapport.errors import ConfigError

FILE_NAME = "rapport.toml"
BROKERS = ("redis", "rediss", "amqp", "amqps")
MIN_TOKEN = 20
_LISTS = ("trusted_hosts", "trusted_proxies", "plugins", "outbound_allow")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a process must know before it can open the site. What people decide lives in settings instead."""

    home: Path
    """The site's directory: database (on SQLite), files, keys, backups."""
    database_url: str = ""
    """SQLAlchemy URL; empty means `rapport.db` inside the home. PostgreSQL: `postgresql://user@host/name`."""
    secret_key: str = field(default="", repr=False)
    """Signs cookies and links. Made once and kept in `secret.key` inside the home when not given."""
    base_url: str = "http://127.0.0.1:8000"
    """Links in mails start with it; other host names are refused."""
    trusted_hosts: tuple[str, ...] = ()
    """Host names served besides the one of base_url."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of web servers before this one: only they are believed when they say in X-Forwarded-For who asks."""
    language: str = "en"
    time_zone: str = "UTC"
    country: str = "US"
    """Reads telephone numbers that are written without a country code."""
    mail_url: str = field(default="", repr=False)
    """smtp://user:password@host:port or smtps://…; empty: mails wait in the outbox and links are printed by the CLI."""
    mail_from: str = "rapport@localhost"
    outbound_allow: tuple[str, ...] = ()
    """Servers outside the public internet that webhooks and plugins may call all the same: `10.0.0.5:8080`."""
    outbound_proxy: str = field(default="", repr=False)
    """http://host:port that every call to other servers goes through; empty: straight."""
    plugins: tuple[str, ...] | None = None
    """Exactly these plugins and nothing the site's database says: for tests and `--safe`. None: as the site decided."""
    jobs: str = "threads"
    """Who does jobs: "threads" of `rapport serve` and `rapport worker`, or "celery", woken by a broker."""
    broker_url: str = field(default="", repr=False)
    """redis://host:6379/0, rediss://…, amqp://user:password@host:5672/vhost or amqps://…, for jobs = "celery"."""
    metrics_token: str = field(default="", repr=False)
    """Who knows it may read the figures at /metrics; empty: there are none."""
    log_format: str = "text"
    """How `rapport serve` and `rapport worker` say what happens: "text", or "json", with a line for each request."""
    max_upload_mb: int = 64
    testing: bool = False
    """Cheap password hashing and no background threads. Never for a real site."""

    def __post_init__(self) -> None:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.home / 'rapport.db'}")
        scheme, colon, rest = self.database_url.partition(":")
        if scheme in {"postgresql", "postgres"}:  # as most hosts hand it out; the driver is always psycopg
            scheme = "postgresql+psycopg"
            object.__setattr__(self, "database_url", f"{scheme}{colon}{rest}")
        if scheme not in {"sqlite", "postgresql+psycopg"}:
            raise ConfigError(
                f"database_url begins with '{scheme}:'. Write sqlite:///path or postgresql://user@host/name."
            )

    @property
    def is_sqlite(self) -> bool:
        """Whether the site is one file on this machine."""
        return self.database_url.startswith("sqlite")

    @property
    def files(self) -> Path:
        """Where uploaded files are kept."""
        return self.home / "files"


def load_config(home: Path | str, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Config:
    """Read `rapport.toml` in `home`, then RAPPORT_* variables, then overrides; later ones win."""
    home = Path(home).resolve()
    known = {f.name: f for f in fields(Config) if f.name != "home"}
    values: dict[str, Any] = {}
    path = home / FILE_NAME
    if path.exists():
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path} is not valid TOML: {error}. Mend that line.") from error
        if unknown := sorted(set(values) - set(known)):
            raise ConfigError(f"{path} has an unknown key '{unknown[0]}'. Known keys: {', '.join(sorted(known))}.")
    for name in known:
        if (text := environ.get(f"RAPPORT_{name.upper()}")) is not None:
            values[name] = text
    values.update(overrides)
    for name in _LISTS:
        if isinstance(values.get(name), str):
            values[name] = [part.strip() for part in values[name].split(",") if part.strip()]
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    if isinstance(values.get("max_upload_mb"), str) and values["max_upload_mb"].isdecimal():
        values["max_upload_mb"] = int(values["max_upload_mb"])
    if isinstance(values.get("testing"), str):
        values["testing"] = values["testing"].lower() in {"1", "true", "yes"}
    _check(values)
    config = Config(home=home, **values)
    return config if config.secret_key else replace(config, secret_key=_kept_secret(home))


def _check(values: Mapping[str, Any]) -> None:
    """Say which key cannot be used, whether it came from the file or from a variable."""
    for name, value in values.items():
        where = f"{name} (in {FILE_NAME}, or RAPPORT_{name.upper()})"
        if name in _LISTS:
            if value is not None and not (isinstance(value, tuple) and all(isinstance(each, str) for each in value)):
                raise ConfigError(f'{where} must be a list of texts, such as ["crm.example.com"].')
        elif name == "max_upload_mb":
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{where} must be a whole number of megabytes, such as 64, not {value!r}.")
        elif name == "testing":
            if not isinstance(value, bool):
                raise ConfigError(f"{where} must be true or false, not {value!r}.")
        elif not isinstance(value, str):
            raise ConfigError(f'{where} must be a text in quotation marks: {name} = "{value}".')
        elif name == "time_zone" and not is_zone(value):
            raise ConfigError(f"{where} names no time zone: '{value}'. Write it as Europe/Paris, Asia/Tehran or UTC.")
    _check_jobs(values.get("jobs", "threads"), values.get("broker_url", ""))
    _check_watching(values.get("metrics_token", ""), values.get("log_format", "text"))


def _check_watching(metrics_token: str, log_format: str) -> None:
    if log_format not in {"text", "json"}:
        raise ConfigError(f'log_format (in {FILE_NAME}, or RAPPORT_LOG_FORMAT) must be "text" or "json".')
    if metrics_token and (len(metrics_token) < MIN_TOKEN or not metrics_token.isascii()):
        raise ConfigError(
            f"metrics_token (in {FILE_NAME}, or RAPPORT_METRICS_TOKEN) must be {MIN_TOKEN} or more letters and digits "
            f"that nobody guesses."
        )
    if metrics_token and find_spec("prometheus_client") is None:
        raise ConfigError('metrics_token needs prometheus-client. Install it: pip install "rapport-crm[metrics]"')


def _check_jobs(jobs: str, broker_url: str) -> None:
    if jobs not in {"threads", "celery"}:
        raise ConfigError(f'jobs (in {FILE_NAME}, or RAPPORT_JOBS) must be "threads" or "celery", not "{jobs}".')
    if broker_url and urlsplit(broker_url).scheme not in BROKERS:
        known = ", ".join(f"{each}://" for each in BROKERS)
        raise ConfigError(f"broker_url (in {FILE_NAME}, or RAPPORT_BROKER_URL) must begin with one of {known}.")
    if jobs == "celery" and not broker_url:
        raise ConfigError('jobs = "celery" needs a broker. Name it: broker_url = "redis://127.0.0.1:6379/0"')
    if jobs == "celery" and find_spec("celery") is None:
        raise ConfigError('jobs = "celery" needs Celery. Install it: pip install "rapport-crm[celery]"')


def is_zone(name: str) -> bool:
    """Whether a time zone has this name, such as Europe/Paris."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _kept_secret(home: Path) -> str:
    """The key in `secret.key`, made on first need; only the owner may read the file."""
    path = home / "secret.key"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process was first: its key counts
            return path.read_text("ascii").strip()
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text("ascii").strip()
