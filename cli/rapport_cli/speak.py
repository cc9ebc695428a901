"""How the command line talks: plain lines, small tables, progress where a person watches, one red line for an error."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import click


class Refusal(click.ClickException):
    """A command that ends without doing what was asked: one red line that says why and what to do."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        click.secho(self.message, fg="red", err=True)


def explain(error: Exception) -> str:
    """One line for the person at the terminal: ours as they are, the database's and unforeseen ones with a way on."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    from rapport.errors import RapportError

    if isinstance(error, RapportError):
        return str(error)
    if isinstance(error, OperationalError):
        reason = str(error.orig).strip().splitlines()[0]
        if missing := re.search(r'database "([^"]+)" does not exist', reason):
            return f"There is no PostgreSQL database '{missing[1]}' yet. Make it: createdb {missing[1]}"
        where = "the variable RAPPORT_DATABASE_URL" if "RAPPORT_DATABASE_URL" in os.environ else "rapport.toml"
        return f"The database cannot be used: {reason}. Check database_url in {where}, then: rapport doctor"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines() or [""]
    return f"This should not have happened: {type(error).__name__}: {text[0]}. Where: run it again with RAPPORT_DEBUG=1"


def say(text: str = "") -> None:
    """A line of the answer."""
    click.echo(text)


def good(text: str) -> None:
    """A line that says it worked."""
    click.secho(text, fg="green")


def note(text: str) -> None:
    """A line beside the answer: a warning, a hint. It goes to stderr, so that the answer can be piped."""
    click.secho(text, fg="yellow", err=True)


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows in columns, wide as they need to be: readable by people, and by `grep` and `awk`."""
    cells = [list(titles), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.secho(line, bold=number == 0)


def ask(text: str, option: str, **settings: Any) -> str:
    """Ask for what an option did not say; where nobody answers, say which option is missing."""
    try:
        answer: str = click.prompt(text, **settings)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise Refusal(f"{option} is missing, and there is nobody to ask. Give it on the command line.") from None
    return answer


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar while long work goes on, moved by `advance(done, total)`; silent where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
