"""The kernel author's pytest file of the docs: what passes there passes, what fails says what the page shows."""

import re
import runpy
from collections.abc import Callable
from typing import Any

import pytest
from app_cases import ROOT

from mlnn.comparing.verdict import Verdict

pytestmark = pytest.mark.proves

PAGE = (ROOT / "docs" / "your_own_kernel.md").read_text(encoding="utf-8")
FILE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "your_own_kernel" / "test_my_kernel.py"))
SHOWN = [
    " ".join(block.replace("\n> ", " ").split())
    for block in re.findall(r"^> (.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
]


def failure(test: Callable[[], None]) -> AssertionError:
    with pytest.raises(AssertionError) as caught:
        test()
    return caught.value


@pytest.mark.slow
def test_the_right_kernel_passes_and_its_precision_is_told() -> None:
    FILE["test_the_fused_kernel"]()
    found: Verdict = FILE["assert_same_objective"](FILE["plain"], FILE["fused"], **FILE["SEQUENCES"])
    assert (found.relation, found.computes_in) == ("equal", {"right": "float32"})
    assert found.resolution is not None
    assert found.resolution <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), [("test_the_faster_kernel", 0), ("test_the_mean_of_means", 1)])
def test_the_wrong_ones_fail_in_the_words_of_the_page(name: str, place: int) -> None:
    """Numbers aside: other processors round otherwise."""
    said = " ".join(str(failure(FILE[name])).split())
    words, shown = (re.sub(r"[-+]?\d[\d.e+-]*", "#", text) for text in (said, SHOWN[place]))
    assert words == shown
