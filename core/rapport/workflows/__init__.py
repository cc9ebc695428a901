"""Workflows: states, what leads from one to the next and what is done on the way; and the stages of pipelines."""

from rapport.workflows.model import Pipeline, Stage, Transition
from rapport.workflows.store import Approval, Workflow, WorkflowInstance, WorkflowVersion

__all__ = ["Approval", "Pipeline", "Stage", "Transition", "Workflow", "WorkflowInstance", "WorkflowVersion"]
