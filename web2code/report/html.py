"""Writes a template as a self-contained page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from web2code.artifacts import replace_text

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("web2code.report", "templates"), autoescape=True, undefined=jinja2.StrictUndefined
)


def write_page(out: Path, template: str, **values: Any) -> None:
    """Write a template, with the common style, to one file; every text in it is escaped."""
    style = TEMPLATES.get_template("report.css").render()
    replace_text(out, TEMPLATES.get_template(template).render(style=style, **values))
