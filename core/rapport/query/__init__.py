"""Asking: one filter language, lists page by page, and search that finds names as people type them."""
