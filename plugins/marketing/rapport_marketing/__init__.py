"""Marketing: customer strategy, segments and lists, campaigns with budget, approvals and return."""

from rapport_marketing.campaigns import (
    Asset,
    AssetVersion,
    Budget,
    Campaign,
    Cost,
    Response,
    Sale,
    TeamMember,
)
from rapport_marketing.executions import Execution, Recipient, Variant
from rapport_marketing.figures import BudgetUse, Figures, budget_uses, figures_of
from rapport_marketing.forms import Form, Submission
from rapport_marketing.hookspecs import Sales
from rapport_marketing.lists import CustomerList, ListMember, put_on_list
from rapport_marketing.segments import Segment, SegmentMember, members
from rapport_marketing.strategy import Standing, Strategy

__all__ = [
    "Asset",
    "AssetVersion",
    "Budget",
    "BudgetUse",
    "Campaign",
    "Cost",
    "CustomerList",
    "Execution",
    "Figures",
    "Form",
    "ListMember",
    "Recipient",
    "Response",
    "Sale",
    "Sales",
    "Segment",
    "SegmentMember",
    "Standing",
    "Strategy",
    "Submission",
    "TeamMember",
    "Variant",
    "budget_uses",
    "figures_of",
    "members",
    "put_on_list",
]
