"""Showcase: birthdays and anniversaries, as an example of one plugin in every place of the web."""

from rapport_showcase.occasions import Occasion

__all__ = ["Occasion"]
