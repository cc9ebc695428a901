"""Rapport: customers, interactions, workflows, and plugins for the rest. These names are the public ones."""

from uuid import UUID

from rapport.access import Actor, Membership, Team, User, system
from rapport.access.service import create_user
from rapport.config import Config, load_config
from rapport.contributions import (
    Action,
    ActionResult,
    Column,
    InteractionType,
    Job,
    NavItem,
    Panel,
    SampleData,
    Setting,
    Summary,
    TimelineItem,
)
from rapport.customers import ContactPoint, Customer, Relation
from rapport.customers.matching import Match, find_duplicates
from rapport.entities import Choice, Entity, Field, Owned, Staged, field, ref, utcnow, uuid7
from rapport.errors import Conflict, Forbidden, Invalid, NotFound, PluginError, Problem, RapportError, Stale
from rapport.hookspecs import hookimpl
from rapport.i18n.catalogs import N_, gettext, ngettext
from rapport.i18n.formats import Formats
from rapport.interactions import Interaction, Task
from rapport.records import Reader, Unit
from rapport.settings import setting_of
from rapport.site import Site
from rapport.workflows import Pipeline, Stage, Transition
from rapport.workflows.moves import move, moves_of, stages_of

__all__ = [
    "N_",
    "UUID",
    "Action",
    "ActionResult",
    "Actor",
    "Choice",
    "Column",
    "Config",
    "Conflict",
    "ContactPoint",
    "Customer",
    "Entity",
    "Field",
    "Forbidden",
    "Formats",
    "Interaction",
    "InteractionType",
    "Invalid",
    "Job",
    "Match",
    "Membership",
    "NavItem",
    "NotFound",
    "Owned",
    "Panel",
    "Pipeline",
    "PluginError",
    "Problem",
    "RapportError",
    "Reader",
    "Relation",
    "SampleData",
    "Setting",
    "Site",
    "Stage",
    "Staged",
    "Stale",
    "Summary",
    "Task",
    "Team",
    "TimelineItem",
    "Transition",
    "Unit",
    "User",
    "create_user",
    "field",
    "find_duplicates",
    "gettext",
    "hookimpl",
    "load_config",
    "move",
    "moves_of",
    "ngettext",
    "ref",
    "setting_of",
    "stages_of",
    "system",
    "utcnow",
    "uuid7",
]
