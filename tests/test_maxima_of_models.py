"""From the ends that a model's starts lead to, to its maximum or the statement that there is none: which way is taken when."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mlnn.errors import DataError
from mlnn.estimating.network import nonlinear


def form(exact: bool = True, offset: float = 0.0, place: Any = "places") -> Any:
    return SimpleNamespace(exact=exact, offset=offset, place=place, design="its design")


def end(llf: float = -5.0, converged: bool = True, gradient: float = 0.0) -> Any:
    return SimpleNamespace(theta=llf, value=-llf, converged=converged, gradient=gradient)


@pytest.fixture
def heights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters are the log-likelihood that they have."""
    monkeypatch.setattr(nonlinear, "log_likelihood", lambda _problem, theta: theta)


FOUND = SimpleNamespace(direction=torch.ones(2))


@pytest.mark.parametrize(("made", "kind", "found", "approached", "way"), [
    (form(), "quasi", FOUND, None, ["separated quasi, no end"]), (form(), "none", FOUND, None, ["highest none"]),
    (form(), "none", None, None, ["highest none"]), (form(), "unknown", None, None, ["highest unknown"]),
    (form(False), "quasi", FOUND, "quasi", ["approached", "separated quasi, an end"]),
    (form(False), "complete", FOUND, "complete", ["approached", "separated complete, an end"]),
    (form(False), "quasi", FOUND, "unknown", ["approached", "highest unknown"]),
    (None, "unknown", None, "complete", ["approached", "separated complete, an end"]),
    (None, "unknown", None, "unknown", ["approached", "highest unknown"]),
    (None, "none", None, None, ["highest none"]),
    (form(False), "none", FOUND, None, ["highest none"]),
])  # fmt: skip
def test_which_way_is_taken(
    made: Any, kind: str, found: Any, approached: str | None, way: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def going(*_: Any) -> str | None:
        taken.append("approached")
        return approached

    def separated(_problem: Any, _form: Any, kind: str, _found: Any, best: Any) -> str:
        taken.append(f"separated {kind}, {'no' if best is None else 'an'} end")
        return "an answer"

    def highest(_problem: Any, _form: Any, kind: str, *_: Any) -> str:
        taken.append(f"highest {kind}")
        return "an answer"

    monkeypatch.setattr(nonlinear, "form_of", lambda _: made)
    monkeypatch.setattr(nonlinear, "_existence", lambda *_: (kind, found))
    monkeypatch.setattr(nonlinear, "reached", lambda _problem, start: start)
    monkeypatch.setattr(nonlinear, "_with_the_classical", lambda _problem, _form, ends: ends)
    monkeypatch.setattr(nonlinear, "_approached", going)
    monkeypatch.setattr(nonlinear, "_separated", separated)
    monkeypatch.setattr(nonlinear, "_highest", highest)
    problem: Any = SimpleNamespace(starts=lambda count, _seed: [end() for _ in range(count)])
    found_of: Any = nonlinear.fit(problem, 2, 0)
    assert found_of == "an answer"
    assert taken == way


@pytest.mark.parametrize(("made", "rank", "whole", "near"), [
    (form(), True, True, 3.0), (form(), False, False, 3.0), (form(place=None), True, False, 3.0),
    (None, True, False, None),
])  # fmt: skip
@pytest.mark.usefixtures("heights")
def test_the_first_of_the_highest_ends_is_the_maximum(
    made: Any, rank: bool, whole: bool, near: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonlinear, "_furthered", lambda _problem, ends, _kind: ends)
    monkeypatch.setattr(nonlinear, "classical_number", lambda *_: 3.0)
    monkeypatch.setattr(nonlinear, "with_number", lambda problem, theta, near=None: ((problem, near), theta))
    monkeypatch.setattr(nonlinear, "whole_rank", lambda _: rank)
    monkeypatch.setattr(nonlinear, "of_maximum", lambda *given: given)
    ends = [end(-9.0), end(-5.0, gradient=1.0), end(-5.0 + 1e-7, gradient=2.0), end(-3.0, converged=False)]
    found: Any = nonlinear._highest("it", made, "none", ends, 4, "ml")  # type: ignore[arg-type]
    assert found[0] == ("it", near)
    assert found[1:] == (-5.0, 1.0, "ml", "none", -3.0, whole)


@pytest.mark.parametrize(("llf", "asked"), [(-5.0, True), (-math.inf, False)])
@pytest.mark.usefixtures("heights")
def test_no_end_that_converged_is_no_maximum(llf: float, asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(nonlinear, "_furthered", lambda _problem, ends, _kind: ends)
    monkeypatch.setattr(nonlinear, "with_number", lambda _problem, theta: told.append(theta))
    monkeypatch.setattr(nonlinear, "not_reached", lambda *_: "no start reached one")
    with pytest.raises(DataError, match="no start reached one"):
        nonlinear._highest("it", None, "none", [end(llf, False), end(-math.inf, False)], 2, "ml")  # type: ignore[arg-type]
    assert told == [llf] * asked


@pytest.mark.usefixtures("heights")
def test_an_end_that_did_not_converge_is_told_where_it_is_likelier() -> None:
    for others, told in (
        ([end(-4.0, False), end(-3.0, False)], -3.0), ([end(-3.0)], None), ([end(-6.0, False)], None), ([], None),
        ([end(-5.0 + 1e-7, False)], None),
    ):  # fmt: skip
        assert nonlinear._likelier("it", -5.0, others) == told  # type: ignore[arg-type]


@pytest.mark.parametrize(("separable", "made", "told"), [
    (False, form(), ("none", None)), (True, None, ("unknown", None)), (True, form(), ("quasi", FOUND)),
    (False, None, ("none", None)),
])  # fmt: skip
def test_what_is_known_of_the_existence(separable: bool, made: Any, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonlinear, "separation_beside", lambda *_: ("quasi", FOUND))
    problem: Any = SimpleNamespace(family=SimpleNamespace(space=SimpleNamespace(separable=separable)))
    assert nonlinear._existence(problem, made) == told


@pytest.mark.parametrize(("made", "kinked", "classical", "reached", "more"), [
    (form(), False, True, -4.0, True), (form(), False, True, -6.0, False), (form(), True, True, -4.0, False),
    (form(False), False, True, -4.0, False), (form(place=None), False, True, -4.0, False),
    (None, False, True, -4.0, False),
    (form(), False, False, -4.0, False), (form(), False, True, -5.0 + 1e-7, False),
])  # fmt: skip
@pytest.mark.usefixtures("heights")
def test_where_the_classical_fit_leads_is_an_end_where_it_is_likelier(
    made: Any, kinked: bool, classical: bool, reached: float, more: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = SimpleNamespace(beta=None) if classical else None
    monkeypatch.setattr(nonlinear, "linear_fit", lambda *_: fit)
    monkeypatch.setattr(nonlinear, "unshifted", lambda *_: None)
    monkeypatch.setattr(nonlinear, "parameters_at", lambda *_: None)
    monkeypatch.setattr(nonlinear, "descend", lambda *_: end(reached))
    problem: Any = SimpleNamespace(family=SimpleNamespace(likelihood=SimpleNamespace(kinked=kinked)))
    ends = [end(-5.0), end(-1.0, converged=False)]
    assert len(nonlinear._with_the_classical(problem, made, ends)) == 2 + more
    assert len(nonlinear._with_the_classical(problem, made, [end(-5.0, converged=False)])) == 1 + (
        made is not None and made.exact and made.place is not None and not kinked and classical
    )


@pytest.mark.parametrize(("made", "found", "llf", "growing", "told"), [
    (form(), FOUND, -2.0 - 0.9e-3, False, "quasi"), (form(), FOUND, -2.0 - 1.1e-3, False, "unknown"),
    (form(), FOUND, -1.9, False, "quasi"),
    (form(), None, -9.0, True, "complete"), (form(), None, -9.0, False, "unknown"),
    (None, FOUND, -9.0, True, "complete"),
    (form(offset=1.0), FOUND, -1.0, True, "complete"), (form(offset=1.0), FOUND, -1.0, False, "unknown"),
])  # fmt: skip
@pytest.mark.usefixtures("heights")
def test_a_model_on_its_way_to_a_supremum_is_separated(
    made: Any, found: Any, llf: float, growing: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonlinear, "supremum", lambda *_: (None, None, -2.0))
    monkeypatch.setattr(nonlinear, "grows", lambda *_: growing)
    problem: Any = SimpleNamespace(family=None)
    assert nonlinear._approached(problem, made, "quasi", found, end(llf)) == told


@pytest.mark.usefixtures("heights")
def test_the_likeliest_end_is_taken_further_where_it_may_lead_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonlinear, "further", lambda *_: "further on")
    first, best = end(-5.0), end(-3.0, converged=False)
    it: Any = "it"
    taken: Any = nonlinear._furthered(it, [first, best], "none")
    assert taken == [first, "further on"]
    for kind, ends in (
        ("none", [first, end(-3.0)]), ("none", [first, end(-3.0, False, math.nan)]),
        ("none", [first, end(-5.0 + 1e-7, False)]),
        ("unknown", [best]),
    ):  # fmt: skip
        assert nonlinear._furthered(it, ends, kind) is ends
    alone: Any = nonlinear._furthered(it, [best], "none")
    unsure: Any = nonlinear._furthered(it, [first, best], "unknown")
    assert (alone, unsure) == (["further on"], [first, "further on"])


@pytest.mark.parametrize(("made", "kind", "found", "best", "llf", "direction"), [
    (None, "complete", None, end(-1.0), 0.0, None), (form(), "complete", None, end(-1.0), 0.0, None),
    (None, "quasi", FOUND, None, 0.0, None),
    (form(offset=1.0), "quasi", FOUND, end(-1.0), -1.0, None), (form(offset=1.0), "quasi", FOUND, None, -7.0, None),
    (form(offset=1.0), "complete", FOUND, end(-1.0), -2.0, "placed"),
    (form(), "quasi", FOUND, end(-1.0), -2.0, "placed"),
    (form(False), "quasi", FOUND, end(-1.0), -2.0, None), (form(place=None), "quasi", FOUND, end(-1.0), -2.0, None),
])  # fmt: skip
@pytest.mark.usefixtures("heights")
def test_what_is_said_of_separated_rows(
    made: Any, kind: str, found: Any, best: Any, llf: float, direction: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonlinear, "of_separation", lambda _problem, kind, *told: (kind, *told))
    monkeypatch.setattr(nonlinear, "supremum", lambda *_: ("limit", "beta", -2.0))
    monkeypatch.setattr(nonlinear, "parameters_at", lambda *_: "placed")
    monkeypatch.setattr(nonlinear, "descend", lambda *_: end(-7.0))
    problem: Any = SimpleNamespace(flat=torch.ones(2), family=None, at=lambda family: family)
    said: Any = nonlinear._separated(problem, made, kind, found, best)
    assert (said[0], said[2], said[3]) == (kind, llf, direction)
    assert (said[1] == "placed") if direction else bool(said[1].isnan().all())


@pytest.mark.parametrize(
    ("separation", "refused"), [("quasi", True), ("complete", True), ("none", False), ("unknown", False)]
)
def test_a_fit_of_separated_rows_is_refused(separation: str, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = SimpleNamespace(separation=separation, sentence="they are apart")
    monkeypatch.setattr(nonlinear, "fit", lambda *_: answer)
    monkeypatch.setattr(nonlinear, "Problem", lambda *_: None)
    given: Any = ("normal", None, None, None)
    if refused:
        with pytest.raises(DataError, match="none of 3 starts reached a maximum, and none can: they are apart"):
            nonlinear.fit_model(*given)
    else:
        found: Any = nonlinear.fit_model(*given)
        assert found is answer
    assert (nonlinear._family("normal").free, nonlinear._family("poisson").free) == ("sigma", None)
