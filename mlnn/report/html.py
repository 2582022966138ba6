"""One HTML page: styles and data inline, the library that draws too unless pages share it, nothing fetched."""

import json
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cache
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mlnn.report.draw import COMMON, own
from mlnn.report.library import library
from mlnn.report.thin import MOST
from mlnn.report.words import number, plain
from mlnn.visible import visible

_NO_BOX = "<extra></extra>"


@dataclass(frozen=True)
class Picture:
    """A figure as the page holds it: `json` is what plotly draws, safe inside a script element; `height` in pixels."""

    heading: str
    caption: str
    json: Markup
    height: int


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mlnn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {"number": number, "plain": plain}
    environment.globals |= {"most": MOST, "common": Markup(json.dumps(COMMON))}
    return environment


def _shown(value: Any) -> Any:
    """What a template shows, hidden characters written out; markup is our own."""
    return visible(value) if type(value) is str else value


def _harmless(value: Any) -> Any:
    """A picture's JSON in which no text is markup: plotly reads tags (`<b>`, `<a href=…>`) in names, labels and hovers."""
    if isinstance(value, dict):
        return {key: _harmless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    if not isinstance(value, str):
        return value
    # The one tag of our own says that a hover has no second box.
    return visible(value, keep="").replace("<", "&lt;").replace(_NO_BOX.replace("<", "&lt;"), _NO_BOX)


def picture(heading: str, caption: str, figure: go.Figure | None) -> list[Picture]:
    """A figure as the page holds it, or nothing: [] without a figure."""
    if figure is None:
        return []
    # The JSON sits in a <script> element, which nothing in it may close.
    plain = json.loads(figure.to_json())
    plain["layout"] = own(plain["layout"])
    told = json.dumps(_harmless(plain), separators=(",", ":"))
    text = Markup(told.replace("<", "\\u003c"))
    return [Picture(heading, caption, text, figure.layout.height)]


def render(template: str, traces: Sequence[Mapping[str, Sized]], **values: object) -> str:
    """The page of a template; `traces` are the columns that its pictures draw, which says whether they are thinned."""
    thinned = any(len(trace["step"]) > MOST for trace in traces)
    return _environment().get_template(template).render(thinned=thinned, library=library(), **values)
