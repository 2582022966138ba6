"""An estimate that this process has made is not made again: the two sides of a comparison share one, and so do its seeds.

Remembered are those of the catalogue's own likelihoods, which are told apart by their class and numbers, and of data by all that an
estimate can see of them. Whoever asks must not write into what is given.
"""

from collections import OrderedDict
from collections.abc import Hashable

import torch

from mlnn.data import Dataset
from mlnn.errors import DataError
from mlnn.estimating.catalogue import LIKELIHOODS
from mlnn.estimating.estimate import estimate
from mlnn.estimating.linear.newton import NotConvergedError
from mlnn.estimating.result import Estimate
from mlnn.likelihoods import Likelihood

KEPT = 8
"""Answers at most; one holds a few numbers a coefficient and row."""
Answer = Estimate | DataError | NotConvergedError
_made: OrderedDict[Hashable, Answer] = OrderedDict()


def remembered(likelihood: str | Likelihood, data: Dataset, intercept: bool) -> Estimate:
    """`estimate(likelihood, data, intercept=intercept)`, or what that raised, from memory where it has been asked for before."""
    key = _key(likelihood, data, intercept)
    answer = _made.get(key) if key is not None else None
    if answer is None:
        answer = _asked(likelihood, data, intercept)
    if key is not None:
        _made[key] = answer
        _made.move_to_end(key)
        while len(_made) > KEPT:
            _made.popitem(last=False)
    if isinstance(answer, Estimate):
        return answer
    raise answer


def _asked(likelihood: str | Likelihood, data: Dataset, intercept: bool) -> Answer:
    try:
        return estimate(likelihood, data, intercept=intercept)
    except (DataError, NotConvergedError) as refusal:
        return refusal.with_traceback(None)  # which would keep every array of the attempt alive


def _key(likelihood: str | Likelihood, data: Dataset, intercept: bool) -> Hashable | None:
    """What an estimate depends on; None for a likelihood whose own plain values do not say all of it."""
    what: Hashable = likelihood
    if not isinstance(likelihood, str):
        own = sorted(vars(likelihood).items())
        plain = all(isinstance(value, bool | int | float | str | None) for _, value in own)
        if type(likelihood) not in LIKELIHOODS.values() or not plain:
            return None
        what = (type(likelihood), *own)
    return what, data.name, data.features, data.fingerprint(), intercept, torch.get_num_threads()
