"""Call centre: call lists with scripts, queues over several sites, agents, calls and their figures."""

from rapport_callcenter.calling import dial, finish, take_next
from rapport_callcenter.entities import (
    Agent,
    Answer,
    Call,
    CallList,
    Disposition,
    Entry,
    Queue,
    Script,
    Site,
    Spell,
    Step,
    WrapUp,
)
from rapport_callcenter.figures import Figures, figures
from rapport_callcenter.telephony import Dialling, Telephony

__all__ = [
    "Agent",
    "Answer",
    "Call",
    "CallList",
    "Dialling",
    "Disposition",
    "Entry",
    "Figures",
    "Queue",
    "Script",
    "Site",
    "Spell",
    "Step",
    "Telephony",
    "WrapUp",
    "dial",
    "figures",
    "finish",
    "take_next",
]
