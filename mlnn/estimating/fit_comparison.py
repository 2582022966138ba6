"""What is said of two fits of the same rows: a test of nested ones, their AIC and BIC."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlnn.estimating.summary import WIDTH, Summary, html
from mlnn.report.brief import Brief


@dataclass(frozen=True)
class Side:
    """One of the two fits. `parameters`: what aic and bic count here, see `FitComparison`."""

    name: str
    likelihood: str
    llf: float
    parameters: int
    aic: float
    bic: float


@dataclass(frozen=True)
class Test:
    """A test of the smaller fit inside the larger. distribution: "chi2", "F" (over df and df_resid), or "½chi2(q) + ½chi2(q+1)".

    statistic, pvalue: of that distribution; df: how many numbers more the larger has.
    """

    statistic: float
    df: int
    pvalue: float
    distribution: str
    df_resid: float | None = None

    @property
    def told(self) -> str:
        """The test in words."""
        degrees = f"{self.df}" if self.df_resid is None else f"{self.df} and {self.df_resid:g}"
        unit = "degree" if degrees == "1" else "degrees"
        word = "F" if self.distribution == "F" else "likelihood ratio"
        return (
            f"{word} {self.statistic:.6g} on {degrees} {unit} of freedom, p = {self.pvalue:.4g} ({self.distribution})"
        )


@dataclass(frozen=True, repr=False)
class FitComparison:
    """Two fits of the same rows. first, second: as they were given; `smaller`, `larger`: their names, "a" and "b".

    test: of the smaller inside the larger, None where they are not nested, as `sentence` says. llr: 2 (llf larger − llf
    smaller), nats. aic, bic of a side: as the fit has them; of different likelihoods every estimated number is counted, a
    normal's σ too, which tables leave out.
    """

    first: Side
    second: Side
    smaller: str
    larger: str
    llr: float
    sentence: str
    test: Test | None = None
    notes: tuple[str, ...] = ()

    @property
    def statistic(self) -> float | None:
        """Of the test."""
        return None if self.test is None else self.test.statistic

    @property
    def df(self) -> int | None:
        """Of the test."""
        return None if self.test is None else self.test.df

    @property
    def pvalue(self) -> float | None:
        """Of the test."""
        return None if self.test is None else self.test.pvalue

    @property
    def aic(self) -> tuple[float, float]:
        """Of both."""
        return self.first.aic, self.second.aic

    @property
    def bic(self) -> tuple[float, float]:
        """Of both."""
        return self.first.bic, self.second.bic

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def summary(self) -> Summary:
        """The table and what it says, as text; in a notebook as a table."""
        title, rule = "Two fits of the same rows", "=" * WIDTH
        rows = self._table()
        lines = [f"{row[0]:<6}{row[1]:<26}" + "".join(f"{cell:>13}" for cell in row[2:]) for row in rows]
        notes = [self.sentence, *self.notes]
        text = [title.center(WIDTH).rstrip(), rule, lines[0], "-" * WIDTH, *lines[1:], rule, self.sentence]
        return Summary("\n".join([*text, *(f"- {note}" for note in self.notes)]), html(title, [], rows, notes))

    def to_dict(self) -> dict[str, object]:
        """As plain data, at full precision."""
        kept = {name: getattr(self, name) for name in ("smaller", "larger", "llr", "sentence")}
        sides = {"first": vars(self.first).copy(), "second": vars(self.second).copy()}
        return kept | sides | {"test": self.test and vars(self.test).copy(), "notes": list(self.notes)}

    def _table(self) -> list[list[str]]:
        return [["", "likelihood", "parameters", "llf", "AIC", "BIC"], *map(_row, (self.first, self.second))]

    def _brief(self) -> Brief:
        return Brief(
            "Two fits of the same rows", "; ".join([self.sentence, *self.notes]), list(self._facts()), self._table()
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        if self.test is not None:
            yield "test", self.test.told


def _row(side: Side) -> list[str]:
    numbers = (f"{number:.4f}" for number in (side.llf, side.aic, side.bic))
    return [side.name, side.likelihood, str(side.parameters), *numbers]
