from onstage.testing.fixtures import plugin_site

__all__ = ["plugin_site"]
