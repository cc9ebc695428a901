"""Webhooks: telling other programs what happened, and hearing from them. Signed as Standard Webhooks says."""
