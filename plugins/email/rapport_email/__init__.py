"""E-mail: accounts on any server, threads on the timeline, templates, bounces."""

from rapport_email.entities import Account, Mail, Notice, Template

__all__ = ["Account", "Mail", "Notice", "Template"]
