"""A finished comparison: its record, its run folder and its page."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mlnn.comparing.probed import Probe
from mlnn.comparing.records import LaneInfo, RunInfo
from mlnn.comparing.trace import rows
from mlnn.comparing.verdict import Verdict
from mlnn.errors import RunFolderError
from mlnn.report.brief import Brief
from mlnn.report.size import COLUMN, FONT, Size
from mlnn.runs import RunFolder, TraceWriter, disk, new_run, write_file
from mlnn.runs.environment import environment

SHOWN = ("loss_left", "loss_right", "gradient_gap", "weight_gap")


@dataclass(repr=False)
class Comparison:
    """A finished comparison. `run`: what was run; `trained`: what each lane was, where it stopped, by name; `trace`: numpy
    arrays by name, in memory, a row a step (of a verdict, a look), or one of `run.trace_every`; `planted`: faults that were
    planted, for the page.
    """

    verdict: Verdict
    run: RunInfo
    trained: dict[str, LaneInfo]
    data: dict[str, object]
    probe: Probe
    trace: dict[str, np.ndarray]
    planted: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    environment: dict[str, object] = field(default_factory=environment)

    @property
    def about(self) -> dict[str, object]:
        """What was run, as plain data."""
        return self.run.to_dict()

    @property
    def lanes(self) -> dict[str, dict[str, object]]:
        """What each lane was, as plain data."""
        return {name: lane.to_dict() for name, lane in self.trained.items()}

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        run, steps, done = self.run, self.trace["step"].tolist(), self.verdict.evidence["steps"]
        title = f"Comparison of {run.left} and {run.right}: {self.verdict.relation}"
        ran = f"{run.model} on {run.data}, {run.optimizer}, {done} of {run.steps} steps, {run.dtype}, seed {run.seed}"
        if run.looks is not None:
            ran += ", looked at once" if run.looks == 1 else f", looked at {run.looks} times"
        if run.trace_every is not None and run.trace_every > 1:
            ran += f", {run.trace_every} steps to a row of the trace"
        kept, shown = sorted({0, len(steps) // 2, len(steps) - 1}), [name for name in SHOWN if name in self.trace]
        table = [["step", *(name.replace("_", " ") for name in shown)]]
        table += [[str(steps[row]), *(f"{self.trace[name][row]:.6g}" for name in shown)] for row in kept]
        return Brief(title, self.verdict.sentence, [("run", ran), *self.verdict.facts()], table)

    def to_dict(self) -> dict[str, object]:
        """Verdict, what was compared, lanes and data, as plain data."""
        return {"verdict": self.verdict.to_dict(), "about": self.about, "lanes": self.lanes, "data": self.data}

    def summary(self) -> dict[str, str | float | None]:
        """The verdict in a few words and numbers, by name, as a tracker has it."""
        verdict, run = self.verdict, self.run
        return {
            "left": run.left, "right": run.right, "relation": verdict.relation, "sentence": verdict.sentence,
            "domain": str(verdict.domain), "resolution": verdict.resolution,
        }  # fmt: skip

    def save(
        self,
        folder: str | Path | None = None,
        *,
        config: str = "",
        overwrite: bool = False,
        page: bool = True,
        figures: Size | None = None,
    ) -> Path:
        """Write a run folder (config, trace.csv, verdict.json, environment, and the page) and return its path.

        figures: the page's pictures as files too, in `figures/`, of that format and size.

        Raises RunFolderError if the folder is not empty (unless `overwrite` and it is a run) or cannot be written.
        """
        try:
            with new_run(folder, "compare", overwrite) as run:
                self.write(run, config, page, figures)
        except RunFolderError as problem:
            if not isinstance(problem.__cause__, OSError):  # a folder that may not be used: nothing has gone wrong yet
                raise
            raise RunFolderError(f"{problem}\nNothing is lost: {self._keep(config)}") from problem.__cause__
        return run.final

    def write(self, run: RunFolder, config: str = "", page: bool = True, figures: Size | None = None) -> None:
        """Write all pieces of a run folder but its checksums; RunFolderError where that cannot be done."""
        run.write_text("config.yaml", config)
        with closing(TraceWriter(run.path("trace.csv"))) as writer:
            for row in rows(self.trace):
                writer.append(row)
        run.write_json("verdict.json", self.verdict.to_dict() | {"about": self.about, "lanes": self.lanes})
        run.write_json("environment.json", self.environment)
        run.write_json("data.json", self.data)
        run.write_json("about.json", self.about)
        if not page:
            return
        html = self.page()
        run.write_text("report.html", html)
        if figures is not None:
            from mlnn.report.figures import write_figures  # plotly and matplotlib, for those alone who draw

            disk("write figures", run.final, write_figures, html, figures, run.path)

    def _keep(self, config: str) -> str:
        """Write the run, without its page, among the temporary files; a sentence that says where it now is."""
        here = "this session has it as .trace and .verdict, and save() may be called again"
        try:
            with new_run(Path(tempfile.mkdtemp(prefix="mlnn-kept-")) / "run", "compare") as run:
                self.write(run, config, page=False)
        except (OSError, RunFolderError):
            return f"{here}."
        return f"the run is kept in {run.final}; {here}."

    def report(self, path: str | Path) -> Path:
        """Write the page (one HTML file that works offline) and return its path; RunFolderError where it cannot be written."""
        return write_file(path, self.page())

    def figures(
        self,
        folder: str | Path,
        *,
        format: str = "pdf",
        width: float = COLUMN,
        height: float | None = None,
        font: float = FONT,
    ) -> list[Path]:
        """Write every picture of the page as a file in `folder` (made where it is not there) and return their paths.

        format: "pdf", "svg" or "png" (300 dpi); width, height: millimetres (89 is a column of a journal, 183 its page; no
        height: in proportion); font: points. Raises ConfigError for another format or a size that no page has, RunFolderError
        where they cannot be written.
        """
        from mlnn.report.figures import write_figures

        size, where = Size(format, width, height, font), Path(folder)

        def path(name: str) -> Path:
            return where / Path(name).name

        disk("write", where, where.mkdir, parents=True, exist_ok=True)
        return [path(name) for name in disk("write figures", where, write_figures, self.page(), size, path)]

    def page(self) -> str:
        """The page as HTML."""
        from mlnn.comparing.page import comparison_page  # plotly and the templates, for those alone who look
        from mlnn.comparing.probe_figure import probe_curves

        return comparison_page(self.verdict, self.trace, self.run, probe_curves(self.probe), self.planted)
