"""Scripts: what an agent reads out to a customer, filled in, and where each answer leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapport.wording import FILTERS, Wording

NAMES = (
    "customer.name", "customer.given_name", "customer.family_name", "customer.city", "customer.phone",
    "customer.email", "customer.job_title", "agent.name", "list.name", "list.campaign", "business.name", "today",
)  # fmt: skip
WORDING = Wording(NAMES, tuple(each for each in FILTERS if each != "truncatewords"), max_output=100_000, strict=False)
fault_in = WORDING.fault_in
END = "end"
"""Where an answer leads that ends the script."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a question, and the step it leads to; empty: the next one."""

    text: str
    to: str = ""


def parse_answers(text: str) -> list[Choice]:
    """Read `Yes > offer`, one a line."""
    lines = [line for line in text.splitlines() if line.strip()]
    return [Choice(answer.strip(), to.strip()) for answer, _sign, to in (line.partition(">") for line in lines)]


def next_key(keys: Sequence[str], here: str, choices: Sequence[Choice], answer: str) -> str:
    """The step after `here`; empty when the script is over. `keys` are its steps in order."""
    led = next((each.to for each in choices if each.text == answer), "")
    if led:
        return led if led in keys else ""
    later = keys[keys.index(here) + 1 :] if here in keys else keys
    return later[0] if later else ""


def fill(source: str, values: Mapping[str, str]) -> str:
    """What is said to this customer. A text that cannot be filled in any more is shown as it is written."""
    from liquid.exceptions import LiquidError

    try:
        return WORDING.fill(source, {name: values.get(name, "") for name in NAMES})
    except LiquidError:
        return source
