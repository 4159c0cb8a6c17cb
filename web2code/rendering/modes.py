"""Which part of a page is captured."""

from __future__ import annotations

from typing import Literal

from web2code.config import Viewport

# page: all of it, down to some viewports' heights; screen: the first viewport of it; page_down: the viewport after the
# page-down key, which is what WCGB's published script looks at, in `PUBLISHED_VIEWPORT`; whole: all of it, as wide and
# as high as it is, which is what Design2Code looks at.
Capture = Literal["page", "screen", "page_down", "whole"]
PUBLISHED_VIEWPORT = Viewport(width=1920, height=1080)

# Chromium's own step is seven eighths of what is seen; its key would scroll in an animation.
PAGE_DOWN = "scrollTo({top: Math.floor(innerHeight * 0.875), behavior: 'instant'}); scrollY"
TO_THE_TOP = "scrollTo({top: 0, behavior: 'instant'})"

# The size that Playwright gives a screenshot of a full page: what overflows the window to the right is part of it.
FULL_SIZE = """(() => {
  const own = name => Reflect.get(Document.prototype, name, document);
  const parts = [own("documentElement"), own("body")].filter(part => part);
  const sizes = ["scroll", "offset", "client"];
  const largest = side => Math.max(0, ...parts.flatMap(part => sizes.map(size => part[size + side])));
  return [largest("Width"), largest("Height")];
})()"""
