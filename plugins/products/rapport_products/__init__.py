"""Products: what the business sells, what it costs, and price books by time, quantity and currency."""

from rapport_products.entities import (
    CURRENCY_HELP,
    Price,
    PriceBook,
    Product,
    tidy_currency,
)
from rapport_products.prices import Offer, find_price, offers_of, price_of
from rapport_products.sample import catalogue

__all__ = [
    "CURRENCY_HELP",
    "Offer",
    "Price",
    "PriceBook",
    "Product",
    "catalogue",
    "find_price",
    "offers_of",
    "price_of",
    "tidy_currency",
]
