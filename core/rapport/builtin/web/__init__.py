"""The web: every page people work with, made from the same definitions as the API."""
