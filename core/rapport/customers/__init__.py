"""Customers: the people and organisations a business deals with."""

from rapport.customers.model import ContactPoint, Customer, Relation

__all__ = ["ContactPoint", "Customer", "Relation"]
