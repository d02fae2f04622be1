"""How every page of the package is made from its templates: all text escaped, nothing undefined passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esrt_privacy.reports import wording

if TYPE_CHECKING:
    from jinja2 import Environment


def template_environment(room: str = "reports") -> Environment:
    """The templates of one room of the package, and those of `reports`, where the style sheet lies.

    It has the filter `plain`; a page adds its own.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    rooms = dict.fromkeys((room, "reports"))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(f"esrt_privacy.{r}", "templates") for r in rooms]),
        autoescape=True,  # a corpus can be hostile: ids, names and transcripts are only text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = wording.plain
    return environment
