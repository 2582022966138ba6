"""What was set otherwise in two recordings: the model, the optimiser, the environment, and what the caller said about them."""

from collections.abc import Iterator, Mapping

from mlnn.recording.differing.records import Setting
from mlnn.recording.differing.yardstick import precision_of
from mlnn.recording.records import Recording, Settings

PASSING = ("time", "parallel_info")
"""Of the environment, what differs from call to call, or says another item at length."""
MOST = 200
RATES = ("lr", "initial_lr")
"""Of the optimiser, what every step tells itself."""
KERNELS = ("foreach", "fused", "capturable", "differentiable")
"""Of the optimiser, how a step is computed."""


def settings_apart(a: Recording, b: Recording) -> list[Setting]:
    """In the order model, optimiser, environment, words of the caller's."""
    one, two = a.settings, b.settings
    return [*_model(a, b), *_optimizer(one, two), *_around(one, two)]


def _model(a: Recording, b: Recording) -> Iterator[Setting]:
    one, two = a.settings, b.settings
    yield from _of("model", one.model, two.model)
    yield from _of("computed in", precision_of(a).name, precision_of(b).name, told=True)
    yield from _of("processes", str(one.ranks), str(two.ranks))


def _optimizer(one: Settings, two: Settings) -> Iterator[Setting]:
    if one.optimizer != two.optimizer:
        yield Setting("optimiser", (one.optimizer, two.optimizer), told=True, steers=True)
    yield from _of("parameter groups", str(len(one.groups)), str(len(two.groups)))
    if sorted(map(_words, one.groups)) == sorted(map(_words, two.groups)):
        return  # the same groups, in whatever order
    several = max(len(one.groups), len(two.groups)) > 1
    for place, (mine, its) in enumerate(zip(one.groups, two.groups, strict=False)):
        where = f" of group {place}" if several else ""
        for name, own, other in _differing(mine, its):
            yield Setting(f"{name}{where}", (own, other), told=True, steers=name not in (*RATES, *KERNELS))


def _words(group: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(group.items())


def _around(one: Settings, two: Settings) -> Iterator[Setting]:
    words: list[Mapping[str, str]] = [
        {name: _short(value) for name, value in side.environment.items() if name not in PASSING} for side in (one, two)
    ]
    for name, own, other in _differing(*words):
        yield Setting(name.replace("_", " "), (own, other))
    for name, own, other in _differing(one.about, two.about):
        yield Setting(f"about: {name}", (own, other))


def _differing(one: Mapping[str, str], two: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in [*one, *(name for name in two if name not in one)]:
        if one.get(name) != two.get(name):
            yield name, one.get(name, "not said"), two.get(name, "not said")


def _of(what: str, own: str, other: str, told: bool = False) -> Iterator[Setting]:
    if own != other:
        yield Setting(what, (own, other), told)


def _short(value: object) -> str:
    text = ", ".join(f"{name} {part}" for name, part in value.items()) if isinstance(value, Mapping) else str(value)
    return text if len(text) <= MOST else text[: MOST - 1] + "…"
