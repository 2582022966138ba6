"""The one way of a name onto the screen: plain text, no markup read in it, nothing hidden in it."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from mlnn.visible import visible


def said(value: object, style: str = "", **look: Any) -> Text:
    """`value` as rich shows plain text, its hidden characters written out."""
    return Text(visible(value), style=style, **look)


class Harmless:
    """Anything rich can show, with what is hidden written out on its way to the screen, whoever made it."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
