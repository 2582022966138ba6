"""Running a notebook without Jupyter: its cells in order, in one namespace; what they print and draw; and what is stored of that.

`python tests/notebook_cases.py docs/from_sigmoid_to_likelihood.ipynb` runs one and stores what came out.
"""

import base64
import contextlib
import io
import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
CLOSE = 2e-3
"""Relative: what another processor's rounding, or another release of torch, may move in a number that is printed."""
PIXELS = 80
"""A picture's dots per inch: legible on a page, and some 20 kB."""


@dataclass(frozen=True)
class Made:
    """What a cell gave: the text that it printed, and its pictures (PNG)."""

    text: str
    pictures: tuple[bytes, ...]


def read(path: Path) -> dict[str, Any]:
    """The notebook as plain data."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Its cells of code, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(notebook: dict[str, Any]) -> list[Made]:
    """What each cell of code gives, run in order in one namespace."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn: list[bytes] = []

    def show() -> None:
        for number in plt.get_fignums():
            held = io.BytesIO()
            plt.figure(number).savefig(held, format="png", dpi=PIXELS, metadata={"Software": None})
            drawn.append(held.getvalue())
        plt.close("all")

    namespace: dict[str, Any] = {"__name__": "__main__"}
    before, plt.show = plt.show, show
    try:
        return [_made("".join(cell["source"]), namespace, drawn) for cell in code(notebook)]
    finally:
        plt.show = before
        plt.close("all")


def _made(source: str, namespace: dict[str, Any], drawn: list[bytes]) -> Made:
    drawn.clear()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(source, "cell", "exec"), namespace)
    return Made(said.getvalue(), tuple(drawn))


def stored(cell: dict[str, Any]) -> Made:
    """What the notebook holds of a cell's output."""
    text = "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")
    images = [output["data"]["image/png"] for output in cell["outputs"] if output["output_type"] == "display_data"]
    return Made(text, tuple(base64.b64decode("".join(image)) for image in images))


def differences(one: Made, other: Made) -> list[str]:
    """In what two outputs of a cell differ: words, numbers beyond `CLOSE`, how many pictures."""
    found = []
    if NUMBER.sub("#", one.text) != NUMBER.sub("#", other.text):
        found.append(f"words: {one.text!r} against {other.text!r}")
    else:
        pairs = zip(NUMBER.findall(one.text), NUMBER.findall(other.text), strict=True)
        found += [f"{a} against {b}" for a, b in pairs if not math.isclose(_value(a), _value(b), rel_tol=CLOSE)]
    if len(one.pictures) != len(other.pictures):
        found.append(f"{len(one.pictures)} pictures against {len(other.pictures)}")
    return found


def _value(text: str) -> float:
    return float(text.replace("−", "-"))


def store(path: Path) -> None:
    """Run a notebook and write what came out into it."""
    notebook = read(path)
    for count, (cell, made) in enumerate(zip(code(notebook), run(notebook), strict=True), start=1):
        cell["execution_count"] = count
        cell["outputs"] = []
        if made.text:
            cell["outputs"].append(
                {"name": "stdout", "output_type": "stream", "text": made.text.splitlines(keepends=True)}
            )
        for picture in made.pictures:
            data = {"image/png": base64.b64encode(picture).decode(), "text/plain": ["a picture"]}
            cell["outputs"].append({"data": data, "metadata": {}, "output_type": "display_data"})
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    store(Path(sys.argv[1]))
