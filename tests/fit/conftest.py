"""Plugins on disk, as the kernel's tests make them."""

from tests.kernel.conftest import plugin_on_disk

__all__ = ["plugin_on_disk"]
