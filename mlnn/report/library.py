"""The library that draws a page's pictures: inside the page, or in one file that the pages of a sweep share."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from markupsafe import Markup

LIBRARY = "plotly-basic-4.1.1.min.js"
"""The file, in the wheel and beside pages that share it."""
_beside: ContextVar[str | None] = ContextVar("beside", default=None)


@dataclass(frozen=True)
class Library:
    """How a page has its library: `inline`, the code itself, or `source`, the relative path of a file; the other is "".

    `sources`: what the page's security policy lets scripts come from.
    """

    inline: Markup
    source: str

    @property
    def sources(self) -> str:
        return "'unsafe-inline' 'self'" if self.source else "'unsafe-inline'"

    @property
    def file(self) -> str:
        """The name of that file."""
        return PurePosixPath(self.source).name


@cache
def library_text() -> str:
    """The code of the library, with its licence."""
    folder = files("mlnn.report.vendored")
    licence = (folder / "LICENSE").read_text(encoding="utf-8").strip()
    return f"/*\n{licence}\n*/\n{(folder / LIBRARY).read_text(encoding='utf-8')}"


@contextmanager
def sharing(folder: str) -> Iterator[None]:
    """Pages rendered in this block take the library from the file LIBRARY in `folder`, a path relative to the page's own."""
    token = _beside.set(f"{folder}/{LIBRARY}")
    try:
        yield
    finally:
        _beside.reset(token)


def library() -> Library:
    """What a page that is rendered now has."""
    source = _beside.get()
    return Library(Markup(library_text()), "") if source is None else Library(Markup(""), source)
