"""Workflows: the stages that records move along, and what guards each step."""

from rapport.workflows.model import Pipeline, Stage, Transition

__all__ = ["Pipeline", "Stage", "Transition"]
