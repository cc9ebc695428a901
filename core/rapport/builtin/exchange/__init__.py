"""Bringing files in and taking them out: contacts, lists and spreadsheets, with nothing lost on the way."""
