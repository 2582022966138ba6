"""What can be changed in a file: the places of its format, and for files that hold a JSON tree, those of the tree."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fuzzing import changing
from fuzzing.changing import Place

Content = bytes


@dataclass(frozen=True)
class Format:
    """`places` of a file that is honest, the `changes` of a place, and `changed`, the file with one of them."""

    places: Callable[[Content], Iterator[Place]]
    changes: Callable[[Place], Sequence[str]]
    changed: Callable[[Content, Place, str], Content]


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def tree(opened: Callable[[Content], object], closed: Callable[[Content, str], Content]) -> Format:
    """A format that holds a JSON tree: `opened` gives it, `closed` puts the text of another one in its stead."""
    return Format(
        lambda content: changing.tree_places(opened(content)),
        changing.tree_changes,
        lambda content, where, change: closed(content, changing.tree_changed(opened(content), where, change)),
    )


NUMBERS = {"NaN": np.nan, "infinite": -np.inf, "large": 1e308, "zero": 0.0, "tiny": 5e-324, "negative": -1.0}
"""What all numbers of an array are changed to."""
