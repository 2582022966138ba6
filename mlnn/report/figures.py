"""The pictures of a page as files for a paper: PDF, SVG or PNG of a stated size."""

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

from mlnn.report.draw import merged
from mlnn.report.matplotlib import drawing
from mlnn.report.size import Size
from mlnn.report.still import still

_PART = re.compile(
    r"<summary><h3>(?P<of>.*?)</h3>|(?P<end></details>)"
    r'|<section class="picture">\s*<h3>(?P<heading>.*?)</h3>.*?<script type="application/json">(?P<told>.*?)</script>',
    re.DOTALL,
)


def pictures(page: str) -> list[tuple[str, dict[str, Any]]]:
    """(heading, what plotly draws) of every picture of a page of ours, in its order.

    Where one of many things has its pictures in a section of its own, the name of the section comes before the heading.
    """
    found, of = [], ""
    for part in _PART.finditer(page):
        if part["told"] is None:
            of = unescape(part["of"] or "")
        else:
            told = json.loads(part["told"])
            heading = f"{of} {unescape(part['heading'])}".strip()
            found.append((heading, told | {"layout": merged(told["layout"])}))
    return found


def write_figures(page: str, size: Size, place: Callable[[str], Path]) -> list[str]:
    """Write every picture of a page as a file and return the names, `figures/1-loss.pdf` and so on.

    place: from a name to the path that is written. Raises OSError where that fails.
    """
    names = []
    for number, (heading, told) in enumerate(pictures(page), start=1):
        name = f"figures/{number}-{_slug(heading)}.{size.format}"
        path = place(name)
        with drawing(size.settings) as (Figure, Canvas):
            figure = still(Figure, told, size)
            Canvas(figure)
            figure.savefig(path, **size.saved)
        names.append(name)
    return names


def _slug(heading: str) -> str:
    """A heading as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")[:50].strip("-") or "picture"
