"""The page of a proof: the answer in a line, a picture of where the two part, and a row for each question."""

from collections.abc import Sequence

from mlnn.proving.briefly import line
from mlnn.proving.figures import strips
from mlnn.proving.proof import Proof
from mlnn.proving.told import HEAD, facts_of, look_of, rows_of, titled
from mlnn.report.html import picture, render

_STRIPS = (
    "Each question on the whole interval: where the two are proved equal, where they certainly differ, and what is undecided."
    " A diamond is a single place at which a gradient is wrong."
)


def proof_page(proof: Proof, names: Sequence[str]) -> str:
    """The page. `names`: of left and right."""
    return render(
        "proof.html",
        [],
        title=titled(names),
        look=look_of(proof),
        line=line(proof),
        facts=facts_of(proof),
        findings=proof.findings,
        shifts=proof.shift,
        head=HEAD,
        rows=rows_of(proof),
        pictures=picture("Where they part", _STRIPS, strips(proof)),
    )
