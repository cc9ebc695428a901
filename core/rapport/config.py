"""Where a site lives and how it is reached: `rapport.toml`, the environment, one frozen object."""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rapport.errors import ConfigError

FILE_NAME = "rapport.toml"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a process must know before it can open the site. What people decide lives in settings instead."""

    home: Path
    """The site's directory: database (on SQLite), files, keys, backups."""
    database_url: str = ""
    """SQLAlchemy URL; empty means `rapport.db` inside the home. PostgreSQL: `postgresql+psycopg://user@host/name`."""
    secret_key: str = field(default="", repr=False)
    """Signs cookies and links. Made once and kept in `secret.key` inside the home when not given."""
    base_url: str = "http://127.0.0.1:8000"
    """Links in mails start with it; other host names are refused."""
    trusted_hosts: tuple[str, ...] = ()
    """Host names served besides the one of base_url."""
    language: str = "en"
    time_zone: str = "UTC"
    country: str = "US"
    """Reads telephone numbers that are written without a country code."""
    mail_url: str = field(default="", repr=False)
    """smtp://user:password@host:port or smtps://…; empty: mails wait in the outbox and links are printed by the CLI."""
    mail_from: str = "rapport@localhost"
    plugins: tuple[str, ...] | None = None
    """Exactly these plugins and nothing the site's database says: for tests and `--safe`. None: as the site decided."""
    max_upload_mb: int = 64
    testing: bool = False
    """Cheap password hashing and no background threads. Never for a real site."""

    def __post_init__(self) -> None:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.home / 'rapport.db'}")
        scheme = self.database_url.split(":", 1)[0]
        if scheme not in {"sqlite", "postgresql+psycopg"}:
            raise ConfigError(
                f"database_url begins with '{scheme}:'. Write sqlite:///path or postgresql+psycopg://user@host/name."
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
    for name in ("trusted_hosts", "plugins"):
        if isinstance(values.get(name), str):
            values[name] = [part.strip() for part in values[name].split(",") if part.strip()]
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    if isinstance(values.get("max_upload_mb"), str):
        values["max_upload_mb"] = int(values["max_upload_mb"])
    if isinstance(values.get("testing"), str):
        values["testing"] = values["testing"].lower() in {"1", "true", "yes"}
    config = Config(home=home, **values)
    return config if config.secret_key else replace(config, secret_key=_kept_secret(home))


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
