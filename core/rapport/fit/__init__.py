"""Fitting a site to its business without code: fields, kinds of records, words and layouts, kept as records."""

from rapport.fit.model import CUSTOM, CustomEntity, CustomField, Layout, Term
from rapport.fit.shape import Fit

__all__ = ["CUSTOM", "CustomEntity", "CustomField", "Fit", "Layout", "Term"]
