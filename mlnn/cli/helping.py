"""The keys of a command as --help shows them: name, default, meaning, in columns."""

import json
from collections.abc import Iterator

from mlnn.keys import Lane, Lanes, Settings, entries

CONFIG = "== Config ==\n"
"""Where Hydra's own page begins to show the composed config."""


def with_keys(page: str, record: type[Settings]) -> str:
    """Hydra's page with the keys of the command in front of the composed config."""
    before, heading, after = page.partition(CONFIG)
    return f"{before}{keys_table(record)}\n{heading}{after}"


def keys_table(record: type[Settings]) -> str:
    """A line a key: its name, as it ships, and what it means."""
    rows = list(_rows(record, ""))
    names, defaults = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"{name:<{names}}  {default:<{defaults}}  {meaning}" for name, default, meaning in rows]
    return (
        "\n".join(["== Keys ==", "What each is, with what it is unless it is set (key=value)", "", *lines, ""]) + "\n"
    )


def _rows(record: type, where: str) -> Iterator[tuple[str, str, str]]:
    for name, key in entries(record).items():
        if key.kind is Lanes:  # both sides have the same keys
            yield from _rows(Lane, f"{where}{name}.<side>.")
            continue
        yield f"{where}{name}", _written(key.default), key.meaning
        if key.known is not None:
            yield from _rows(key.known, f"{where}{name}.")


def _written(default: object) -> str:
    """A default as it is typed."""
    if isinstance(default, list):
        return f"[{', '.join(map(_written, default))}]"
    if isinstance(default, dict):
        return ""
    return default if isinstance(default, str) else json.dumps(default)
