"""How long tests wait for what happens."""

from typing import Final

PATIENCE: Final = 120.0
"""Seconds until a wait fails. It bounds a failure and measures nothing: a busy machine needs a part of it."""
