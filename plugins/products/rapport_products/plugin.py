"""What products bring to Rapport: a table of contents."""

from __future__ import annotations

from rapport import Dimension, Entity, ListFilter, Panel, SampleData, Setting, hookimpl
from rapport_products import measures, panels, sample
from rapport_products.entities import Price, PriceBook, Product


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Product, PriceBook, Price]


@hookimpl
def register_dimensions() -> list[Dimension]:
    return measures.dimensions()


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("products.currency", "Currency of prices",
                help="ISO 4217 code, also of what is sold. Left empty: the currency of the business."),
    ]  # fmt: skip


@hookimpl
def register_panels() -> list[Panel]:
    return panels.panels()


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [ListFilter("products.product", "on_sale", "On sale", "active = true")]


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [SampleData("products", sample.load, order=40)]
