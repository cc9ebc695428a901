"""Interactions: every contact with a customer, and what is to be done next."""

from rapport.interactions.consent import Consent, FrequencyCap, Purpose, QuietHours, Suppression
from rapport.interactions.messages import Message, MessageFile
from rapport.interactions.model import Attachment, Interaction, Participant, Task

__all__ = [
    "Attachment",
    "Consent",
    "FrequencyCap",
    "Interaction",
    "Message",
    "MessageFile",
    "Participant",
    "Purpose",
    "QuietHours",
    "Suppression",
    "Task",
]
