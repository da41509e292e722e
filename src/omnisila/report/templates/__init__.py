"""The pages' templates, styles and scripts; everything put into them is escaped unless it says that it is markup."""

from base64 import b64encode
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_ENVIRONMENT = Environment(
    loader=PackageLoader("omnisila.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["base64"] = lambda data: Markup(b64encode(data).decode())


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder."""
    return _ENVIRONMENT.get_template(template).render(asset=lambda name: Markup(asset(name)), **values)


def asset(name: str) -> str:
    """A style sheet or script of this folder, as it is."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
