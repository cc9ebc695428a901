"""Interactions: every contact with a customer, and what is to be done next."""

from rapport.interactions.model import Interaction, Task

__all__ = ["Interaction", "Task"]
