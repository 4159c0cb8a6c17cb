"""Where the pages of a dataset come from: the seeded generator, or a user's folder of HTML documents."""

from web2code.pages.sources import SOURCES, draw_pages

__all__ = ["SOURCES", "draw_pages"]
