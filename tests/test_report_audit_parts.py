"""What the audit's pages are made of: words, witnesses, pictures; each shows what was found and breaks where it must."""

import math
from functools import partial

import pytest
import torch
from report_audit_cases import LOSSES, certificates, curve, made

import mlnn
from mlnn.auditing import KINDS as AUDITED
from mlnn.auditing import Certificate
from mlnn.auditing.certificate import where
from mlnn.auditing.figures import implied_figure, overview_figure, separation, z_figure
from mlnn.auditing.record import Curves, Witness
from mlnn.auditing.witness_words import witness_lines
from mlnn.auditing.words import KINDS, chain, lead, measures, precision


@pytest.fixture(scope="module")
def found():
    return certificates()


def ys(figure, line=0):
    return list(figure.data[line].y)


# Words


def test_every_kind_of_the_audit_is_known_in_its_order(found):
    assert tuple(KINDS) == AUDITED
    assert {name: one.kind for name, one in found.items()} == {kind: kind for kind in LOSSES}


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("all", "everywhere"),
        ("none", "–"),
        ((-27.6822, 16.6354), "[-27.68, 16.64]"),
        ((-math.inf, 88.7), "f ≤ 88.7"),
        ((-85.3, math.inf), "f ≥ -85.3"),
    ],
)
def test_a_domain_in_words(domain, words):
    assert where(domain) == words


def test_the_chain_holds_breaks_or_stays_open(found):
    held = {name: [step.holds for step in chain(one)] for name, one in found.items()}
    assert held["likelihood"] == [True] * 3
    assert held["scaled likelihood"] == [False] * 2 + [True] * 3
    assert held["likelihood family"] == [False] * 2 + [True] * 4
    assert held["undecided"] == [None] * 3
    assert held["batch-coupled"] == [False]
    assert all(held[kind] == [False] * 3 for kind in ("proper", "calibrated", "no link", "unnormalisable"))


def test_the_chain_carries_the_numbers_of_its_own_loss(found):
    formulas = {name: " ; ".join(step.formula for step in chain(one)) for name, one in found.items()}
    assert "exp(−loss/3.7) = P(y | f)" in formulas["scaled likelihood"]
    assert "exp(−loss)/1.77245 = p(y | f)" in formulas["likelihood family"]
    assert chain(found["likelihood family"])[0].note == "Z = ∫ over y of exp(−loss) is 1.77245 at every output"
    assert chain(found["no link"])[0].note.startswith("Z = Σ over y of exp(−loss) runs from 0.736 to 1.1")
    counts = partial(Certificate, "likelihood", "made", "counts", scale=1.0)
    assert chain(counts(measure="1/y!"))[3].formula == "−log P(y | f) = loss + log y!"
    assert chain(counts(measure="a function of y"))[2].formula == "exp(−loss)·h(y) = P(y | f)"
    assert chain(made(kind="undecided", curves=Curves(z=(1.0, math.inf))))[0].note.endswith(
        "from 1 to ∞ over the outputs drawn"
    )


def test_the_base_measure_is_a_table_only_where_it_varies():
    poisson = mlnn.audit(torch.nn.PoissonNLLLoss(reduction="none"), "counts")
    assert measures(poisson)[3] == ("3", "0.1667", "-1.7918")
    assert len(measures(poisson)) == 11
    assert measures(made(base_measure={0.0: 0.5, 1.0: 0.5}, constants={0.0: -0.7, 1.0: -0.7})) == []
    assert measures(made()) == []


def test_the_lead_counts(found):
    assert lead(list(found.values())) == (
        "Minimising 3 of 9 losses is maximum likelihood: 1 up to a constant of the target at most, 1 up to a factor,"
        " 1 up to a dispersion. The other 6: 1 proper, 1 calibrated, 1 no link, 1 unnormalisable, 1 batch-coupled, 1 undecided."
    )
    assert lead([made()]) == "Minimising 0 of 1 loss is maximum likelihood. The other 1: 1 no link."
    assert lead([]) == "No loss was audited."


def test_the_precision_is_said_once_where_it_is_one():
    def at(dtype):
        return made(kind="likelihood", domains={dtype: "all", "float64": "all"})

    assert precision([at("float32"), at("float32"), made()]) == "float32"
    assert precision([at("float32"), at("bfloat16")]) is None
    assert precision([made()]) is None


# Witnesses


def test_a_witness_shows_the_numbers_that_disagree(found):
    loud = {name: [line.word for line in witness_lines(one.witness) if line.loud] for name, one in found.items()}
    assert loud["no link"] == ["loss of target 0"]
    assert [word.split(" of ")[0] for word in loud["proper"]] == ["τ it would need"]
    assert loud["unnormalisable"][0].startswith("∫ exp(−loss)")
    assert loud["likelihood"] == []
    flat = {line.word: line.values for line in witness_lines(found["no link"].witness)}
    assert flat["implied probability of target 0"] == ["0.5", "0.5"]
    assert flat["loss of target 0"][0] != flat["loss of target 0"][1]


@pytest.mark.parametrize(
    ("witness", "words"),
    [
        (Witness(outputs=(1.5, -2.0), targets=(0, 1), loss=((3.0, 4.0), (1.0, 2.0)), excess=2.0, says="s"),
         ["raw output f", "loss of target 0!", "loss of target 1!", "excess, over every target, at least"]),
        (Witness(outputs=(1.5, -2.0), z=(1.0, 2.0), family="Tweedie", lives="0 and (0, ∞)", space="positive"),
         ["raw output f", "Z", "the Tweedie lives on!", "the targets are!"]),
        (Witness(family="Poisson", lives="multiples of 0.5", space="counts"),
         ["the Poisson lives on!", "the targets are!"]),
        (Witness(rows=512, loss=(1.0, 2.0), says="s"),
         ["rows", "loss of the whole batch!", "expected from two parts of it!"]),
        (Witness(outputs=(1.0, 2.0), probability=(0.3, 0.7), expected=(0.5, 0.4), z=(1.0, 1.1)),
         ["raw output f", "probabilities implied by the first", "expected loss!", "Z"]),
        (Witness(outputs=((1.0, 2.0), (3.0, math.nan)), target=1, loss=(1.0, math.inf)),
         ["raw output f", "loss of target 1!"]),
        (Witness(says="s"), []),
        (None, []),
    ],
)  # fmt: skip
def test_every_form_of_witness_is_a_table(witness, words):
    assert [line.word + "!" * line.loud for line in witness_lines(witness)] == words


def test_long_outputs_are_cut_and_what_is_not_finite_is_said():
    lines = witness_lines(Witness(outputs=((1, 2, 3, 4, 5, 6), (math.nan, math.inf)), loss=(math.nan, 1.0)))
    assert lines[0].values == ["(1, 2, 3, 4, …)", "(NaN, ∞)"]
    assert lines[1].values == ["NaN", "1"]


# Pictures


def test_z_is_drawn_with_the_line_that_tau_and_h_make_of_it(found):
    figure = z_figure(found["scaled likelihood"])
    assert min(ys(figure)) < 0.2
    assert len(ys(figure, 1)) > 50
    assert ys(figure, 1) == pytest.approx([1.0] * len(ys(figure, 1)), abs=1e-6)
    assert len(z_figure(found["no link"]).data) == 1


def test_rounding_does_not_fill_the_picture_and_decades_do():
    flat = z_figure(made(curves=curve(z=(1.0, 1 + 2e-16, 1.0, 1 - 1e-16, 1.0))))
    assert list(flat.layout.yaxis.range) == pytest.approx([0, 1.15])
    steep = z_figure(made(curves=curve(z=(1e-9, 1e-3, 1.0, 1e3, 1e12))))
    assert steep.layout.yaxis.type == "log"
    assert list(steep.layout.yaxis.range) == pytest.approx([-4.2, 4.2])


def test_a_number_that_is_not_finite_breaks_the_line():
    assert ys(z_figure(made(curves=curve(z=(1.0, math.nan, 1.0, math.inf, -math.inf))))) == [1.0, None, 1.0, None, None]
    assert ys(implied_figure(made(curves=curve(implied=(0.5, math.nan, 0.5, math.nan, 0.5)))), 1) == [
        0.5,
        None,
        0.5,
        None,
        0.5,
    ]
    row = implied_figure(made(targets="real", curves=Curves(target=(0.0, 1.0), densities={0.0: (math.nan, 1.0)})))
    assert ys(row) == [None, 1.0]


@pytest.mark.parametrize(
    "curves",
    [
        Curves(),
        curve(z=None, implied=None),
        curve(z=(math.nan,) * 5, implied=()),
        curve(z=(1.0,), implied=(0.5,)),
        curve(output=()),
    ],
)
def test_without_numbers_there_is_no_picture(curves):
    assert z_figure(made(curves=curves)) is None
    assert implied_figure(made(curves=curves)) is None
    assert implied_figure(made(targets="real", curves=curves)) is None


def test_an_implied_probability_is_clipped_and_its_far_stretches_are_left_out():
    implied = implied_figure(made(curves=curve(implied=(-5.0, -3.0, 0.5, 1.1, 9.0))))
    assert ys(implied, 1) == [None, -0.2, 0.5, 1.1, 1.2]
    pole = implied_figure(made(curves=curve(implied=(0.5, 4.0, 9.0, -9.0, -4.0))))
    assert ys(pole, 1) == [0.5, 1.2, None, None, None]
    assert pole.data[1].text[2] == "9"  # hovering says the number itself


def test_counts_are_bars():
    counts = Curves(target=(0, 1, 2), densities={-1.0: (0.7, 0.2, 0.1), 0.0: (0.4, 0.4, 0.2)})
    assert [bar.type for bar in implied_figure(made(targets="counts", curves=counts)).data] == ["bar", "bar"]


def test_the_overview_places_zero_infinite_and_absent_residuals():
    few = [
        made(kind="likelihood", name="exact", residual=0.0),
        made(kind="likelihood", name="rounding", residual=1e-15),
        made(name="far", residual=0.1),
        made(kind="unnormalisable", name="endless", residual=math.inf),
        made(kind="batch-coupled", name="coupled", residual=None),
    ]
    figure = overview_figure(few)
    held, far, endless, coupled = figure.data
    assert held.x[0] < held.x[1] < far.x[0] < endless.x[0]
    assert coupled.x[0] < held.x[0]
    assert (endless.marker.symbol[0], coupled.marker.symbol[0]) == ("triangle-right", "circle-open")
    assert separation(few) == (1e-15, 0.1)
    assert [note.text for note in figure.layout.annotations] == ["nothing between 1e-15 and 0.1"]


@pytest.mark.parametrize(("likelihood", "other"), [(0.2, 0.1), (math.nan, 0.1), (1e-15, None)])
def test_residuals_that_do_not_part_are_not_said_to(likelihood, other):
    few = [made(kind="likelihood", residual=likelihood), made(residual=other)]
    assert separation(few) is None
    assert not overview_figure(few).layout.annotations
