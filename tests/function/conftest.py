"""Properties are given as long as they need: a shared machine's pauses are no failures."""

from hypothesis import settings

settings.register_profile("function", deadline=None, print_blob=True)
settings.load_profile("function")
