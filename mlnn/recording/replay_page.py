"""The page of a replayed step, and the panel of it on the console."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from mlnn.comparing.badges import badge
from mlnn.comparing.console import fact_grid
from mlnn.comparing.verdict import Verdict
from mlnn.recording.capsule import Capsule
from mlnn.report.html import render
from mlnn.report.said import said
from mlnn.report.words import number

MOST_LINES = 20
"""Parameters that the page lists, those farthest from the record first."""


def facts(capsule: Capsule) -> list[tuple[str, str]]:
    """What is known of a recorded step, (word, value)."""
    rounding = (
        [("rounding moves it by", f"{number(capsule.null.gradient, 2)} (gradient, relative)")] if capsule.null else []
    )
    return [
        ("recorded step", str(capsule.step)),
        ("kept because", capsule.reason if capsule.reason != "chosen" else "it was chosen"),
        (
            "losses",
            ", ".join(f"{loss:.9g}" for loss in capsule.losses[:8]) + (", …" if len(capsule.losses) > 8 else ""),
        ),
        ("weights", f"{sum(weight.numel() for weight in capsule.weights.values()):,}"),
        *rounding,
        *([] if capsule.hashed else [("checksum", "none: an earlier mlnn kept this step")]),
    ]


def held(verdict: Verdict) -> list[tuple[str, str]]:
    """What the verdict rests on; of a step that was held against its record that is the resolution alone."""
    return [
        (word, told) for word, told in verdict.facts() if word == "resolution" or "replayed" not in verdict.evidence
    ]


def replay_page(verdict: Verdict, capsule: Capsule) -> str:
    """The page: verdict and sentence, what was recorded, and each parameter's distance from the record."""
    listed = verdict.evidence.get("parameters")
    rows = listed if isinstance(listed, list) else []
    return render(
        "replay.html",
        [],
        title=f"Recorded step {capsule.step}, again",
        badge=badge,
        verdict=verdict,
        facts=held(verdict),
        recorded=facts(capsule),
        rows=[(row["parameter"], number(row["norm"], 4), number(row["distance"], 2)) for row in rows[:MOST_LINES]],
        more=len(rows) - MOST_LINES,
    )


def replay_panel(verdict: Verdict, capsule: Capsule) -> RenderableType:
    """A panel: relation, sentence, and what it rests on."""
    symbol, colour, meaning = badge(verdict.relation)
    head = Text.assemble((f" {symbol} {verdict.relation} ", f"bold white on {colour}"), f"  {meaning}")
    parts: list[RenderableType] = [
        head,
        Text(),
        said(verdict.sentence),
        Text(),
        fact_grid([*facts(capsule), *held(verdict)]),
    ]
    return Panel(
        Group(*parts), title=said(f"step {capsule.step}"), title_align="left", border_style=colour, padding=(1, 2)
    )
