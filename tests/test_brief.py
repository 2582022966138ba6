"""What an interactive session shows: a few plain lines, and HTML in which no name can act."""

import pytest

from mlnn.report.brief import Brief
from mlnn.visible import visible

SHOWN = Brief("Verdict: equal", "What differs is rounding.", [("resolution", "1e-12")], [["", "coef"], ["x1", "0.5"]])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\u202eb", r"a\u202eb"),
        ("a\rb\tc\x9bd", r"a\x0db\x09c\x9bd"),
        ("\ud800\U000e0041", r"\ud800\U000e0041"),
        ("σ(z) ≤ 1\nsecond line", "σ(z) ≤ 1\nsecond line"),
    ],
)
def test_hidden_characters_are_written_out_and_others_stay(given: str, shown: str) -> None:
    assert visible(given) == shown


def test_text_is_a_few_aligned_lines() -> None:
    assert SHOWN.text().splitlines() == [
        "Verdict: equal", "What differs is rounding.", "  resolution  1e-12", "      coef", "  x1   0.5",
    ]  # fmt: skip


def test_html_holds_the_same_words_and_escapes_them() -> None:
    found = SHOWN.html()
    assert all(word in found for word in ("Verdict: equal", "<td>1e-12</td>", "<th>coef</th>", "<td>x1</td>"))
    hostile = Brief("<script>x</script>", "a\x1b[2J", [("<b>", "</td>")]).html()
    assert "<script" not in hostile
    assert "\x1b" not in hostile
    assert "<td>&lt;b&gt;</td><td>&lt;/td&gt;</td>" in hostile
