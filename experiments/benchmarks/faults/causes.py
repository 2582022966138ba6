"""What a right cause of a textbook fault says: by words of the pair's name, a regular expression that the cause must hold."""

import re
from dataclasses import replace

from faults.pair import Pair

GRADIENT = r"its gradient|own gradient|derivative|backward|detach|straight-through"
"""The value is right and what comes back is not its gradient."""
CAUSES = {
    r"broadcast": r"broadcast|n × n",
    r"sum for mean|n − 1": r"sum|number of rows|factor",
    r"micro-batch means": r"micro-batch|chunk",
    r"mean over classes": r"class|weight",
    r"mean over entries": r"entries|factor|mean",
    r"softmax over rows|worst half|stale targets": r"couples|row",
    r"row dropped|row doubled": r"row",
    r"log2|log10|bits for nats": r"base|factor",
    r"factor|½|smooth L1 for Huber": r"factor|½",
    r"detached|wrong gradient|gradient clipped inside|residual detached": GRADIENT,
    r"wrong value": r"value",
    r"label smoothing": r"smooth",
    r"epsilon in log|log epsilon": r"log|ε|epsilon",
    r"clip|clamped|capped|Bernoulli\(probs\)": r"clip|clamp|cap|satur",
    r"temperature": r"temperature",
    r"double (sigmoid|softmax)": r"double|sigmoid|softmax|link|twice",
    r"weight": r"weight|target 1|decay",
    r"sign flipped": r"target|class|sign",
    r"ignored": r"ignore[sd]|kept|target 0",
    r"relu at exactly 0": r"0|kink",
    r"optimizer: ": r"optimi[sz]er|rate|decay|momentum",
}


def with_cause(pair: Pair) -> Pair:
    """The pair with what a right cause of it says, where the table has it and the pair itself does not."""
    found = next((cause for words, cause in CAUSES.items() if re.search(words, pair.name)), None)
    return pair if pair.cause or found is None else replace(pair, cause=found)
