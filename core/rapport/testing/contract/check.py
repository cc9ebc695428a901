"""Checks: small functions whose names are sentences, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MIN_REASON = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that breaks the contract. `what` is what an exemption names: an entity, a file, a function."""

    what: str
    said: str


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the contract."""

    function: Callable[..., Iterable[Finding]]

    @property
    def name(self) -> str:
        """As exemptions name it: `it_has_a_readme`."""
        return self.function.__name__

    @property
    def sentence(self) -> str:
        """As people read it."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Result:
    """How a check went."""

    check: Check
    findings: tuple[Finding, ...] = ()
    exempt: tuple[str, ...] = ()
    """What was found and is exempt."""

    @property
    def kept(self) -> bool:
        """Whether the promise is kept, but for what is exempt."""
        return not self.findings


def judge(check: Check, findings: Iterable[Finding], exemptions: Mapping[str, Any]) -> Result:
    """Take what is exempt out of what was found; an exemption nobody needs, or without a reason, is a finding."""
    written = exemptions.get(check.name)
    found = list(findings)
    if written is None:
        return Result(check, tuple(found))
    reasons: Mapping[str, Any] = written if isinstance(written, Mapping) else {"*": written}
    left, used = [], set()
    for finding in found:
        key = next((key for key in reasons if _covers(key, finding.what)), None)
        if key is None:
            left.append(finding)
        else:
            used.add(key)
    left += _faults(check, reasons, used)
    exempt = tuple(finding.what for finding in found if finding not in left)
    return Result(check, tuple(left), exempt)


def _covers(key: str, what: str) -> bool:
    return key in {"*", what, what.partition("::")[0]}


def _faults(check: Check, reasons: Mapping[str, Any], used: set[str]) -> Iterator[Finding]:
    for key, reason in reasons.items():
        which = f"The exemption from '{check.name}'" + ("" if key == "*" else f" for '{key}'")
        if key not in used:
            yield Finding(key, f"{which} is not needed any more. Take it out of pyproject.toml.")
        elif not isinstance(reason, str) or len(reason) < MIN_REASON:
            yield Finding(key, f"{which} does not say why, in a sentence. Write it into pyproject.toml.")
