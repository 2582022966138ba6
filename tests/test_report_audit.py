"""The pages and tables of an audit: every kind is shown for what it is, in words, and nothing breaks them."""

import json
import math
import re
from dataclasses import replace

import pytest
from report_audit_cases import LOSSES, certificates, curve, made
from report_cases import HOSTILE
from test_report import Page, shown

from mlnn.auditing import Certificate
from mlnn.auditing.console import audit_table, certificate_panel
from mlnn.auditing.page import audit_page, audits_page
from mlnn.auditing.record import Curves, Witness
from mlnn.auditing.words import KINDS, lead


@pytest.fixture(scope="module")
def found():
    return certificates()


def check(html):
    """A whole page that loads nothing, goes nowhere but to its own parts, and shows no programmer's word."""
    page = Page(html)
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {load for load in page.loads if load.lstrip("#") not in ids} == set()
    assert not re.search(r"\b(nan|inf|None|True|False|undefined)\b", page.text)
    return page


# Pages


def test_an_unknown_kind_is_never_shown_as_a_pass():
    page = check(audit_page(made(kind="bogus")))
    assert "? bogus" in page.text
    assert "✓" not in page.text
    assert "✗" not in page.text


def test_each_loss_says_its_precision_where_there_are_several():
    def at(dtype):
        return made(kind="likelihood", domains={dtype: "all", "float64": "all"})

    assert "everywhere in bfloat16" in check(audits_page([at("float32"), at("bfloat16")])).text
    assert "everywhere in" not in check(audits_page([at("float32")])).text


@pytest.mark.parametrize(
    "curves", [Curves(), curve(z=None, implied=None), curve(z=(math.nan,) * 5, implied=(math.nan,) * 4)]
)
def test_a_page_without_numbers_has_no_pictures(curves):
    assert check(audit_page(made(curves=curves))).figures == []


@pytest.mark.parametrize(
    "witness",
    [
        Witness(outputs=(1.5, -2.0), targets=(0, 1), loss=((3.0, math.nan), (1.0, math.inf)), says="s"),
        Witness(family="Poisson", lives="multiples of 0.5", space="counts"),
        Witness(),
    ],
)
def test_a_page_takes_any_form_of_witness(witness):
    check(audit_page(made(witness=witness)))
    shown(certificate_panel(made(witness=witness)))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", LOSSES)
def test_the_page_of_every_kind(found, kind):
    page = check(audit_page(found[kind]))
    assert f"{KINDS[kind].symbol} {kind}" in page.text
    assert found[kind].sentence in page.text
    assert all(word in page.text for word in ("How to read this", "τ", "h(y)", "Z", "Link", "Proper", "Calibrated"))
    assert len(page.figures) == {"batch-coupled": 0, "undecided": 0, "unnormalisable": 1}.get(kind, 2)


def test_the_catalogue_has_a_row_and_a_section_per_loss(found):
    losses = [*found.values(), made(name="made")]
    page = check(audits_page(losses, title="All of them"))
    assert "All of them" in page.text
    assert lead(losses) in page.text
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    sections = [attrs for tag, attrs in page.tags if tag == "details"]
    assert len(set(links)) == len(links) == len(sections) == len(losses)
    assert not any("open" in attrs for attrs in sections), "closed, so that nothing in them is drawn yet"
    for kind in KINDS.values():
        assert kind.meaning in page.text


@pytest.mark.rest
def test_a_catalogue_of_sixty_losses_stays_small(found):
    losses = [replace(one, name=f"{one.name} {i}") for i in range(7) for one in found.values()]
    assert len(audits_page(losses)) < 10_000_000


def test_an_empty_catalogue_is_a_page():
    page = check(audits_page([]))
    assert "No loss was audited." in page.text
    assert page.figures == []


def test_a_bare_certificate_is_a_page():
    bare = Certificate("undecided", "", "")
    check(audit_page(bare))
    assert "–" in check(audits_page([bare, Certificate("likelihood", "", "")])).text
    assert "–" in shown(audit_table([bare]))
    shown(certificate_panel(bare))


def test_numbers_that_are_not_finite_are_said_in_words():
    page = check(audit_page(made(kind="likelihood", residual=math.nan, scale=math.nan, domains={"float32": (-math.inf, 1.0)},
                                 base_measure={0.0: math.nan, 1.0: 0.0}, constants={0.0: math.nan, 1.0: -math.inf})))  # fmt: skip
    assert "NaN" in page.text
    assert "-∞" in page.text


def test_hostile_names_stay_text(found):
    witness = Witness(says=HOSTILE, family=HOSTILE, lives=HOSTILE, space=HOSTILE)
    hostile = {"name": HOSTILE, "sentence": HOSTILE, "notes": (HOSTILE,), "family": HOSTILE, "link": HOSTILE, "measure": HOSTILE,
               "witness": witness, "domains": {HOSTILE: HOSTILE}}  # fmt: skip
    for kind in ("likelihood", "no link", HOSTILE):
        one = replace(found["likelihood"], **hostile, kind=kind)
        for page in (check(audit_page(one)), check(audits_page([one, one], title=HOSTILE))):
            assert HOSTILE in page.text
            assert sum(tag == "script" for tag, _ in page.tags) == len(page.figures) + 2
            assert all("<script" not in json.dumps(figure) for figure in page.figures)


def test_the_page_check_sees_a_programmers_word_and_a_way_out():
    for text in ("<p>nan</p>", "<p>None</p>", '<a href="https://example.org">x</a>', '<a href="#gone">x</a>'):
        with pytest.raises(AssertionError):
            check(text)


# The console


def test_the_table_has_one_line_per_loss_and_one_per_kind(found):
    table = audit_table(list(found.values()))
    assert table.row_count == 2 * len(LOSSES)
    text = shown(table)
    for name, one in found.items():
        assert re.search(rf"^ {name} +{re.escape(one.targets)} ", text, re.MULTILINE), name
    assert "in float32" in text
    assert " ∞" in text
    assert "Minimising 3 of 9" in text


def test_long_names_and_markup_do_not_cut_the_residual():
    one = made(name="a_rather_long_name_of_a_loss_function", link="softmax(f + (0, -0.6931, -1.099))", residual=1.3e-3)
    assert "1.3e-3" in shown(audit_table([one]))
    assert "[red]x[/red]" in shown(audit_table([made(name="[red]x[/red]")]))


@pytest.mark.parametrize("kind", LOSSES)
def test_the_panel_of_every_kind(found, kind):
    text = shown(certificate_panel(found[kind]))
    assert f"{KINDS[kind].symbol} {kind}" in text
    assert ("Witness" in text) == bool(found[kind].witness)
    assert not re.search(r"\b(nan|None)\b", text)
