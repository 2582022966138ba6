"""`mlnn.compare` as settings describe it."""

from collections.abc import Callable, Sequence

from mlnn.comparing.comparison import compare
from mlnn.comparing.finished import Comparison
from mlnn.comparing.looks import looks_at
from mlnn.comparing.plan import planned
from mlnn.comparing.together import compare_together
from mlnn.keys import ComparedSettings, CompareSettings, GrowthSettings
from mlnn.settings import dataset, lanes, pin_threads, recipe
from mlnn.world import own_world


def run_comparison(settings: ComparedSettings, progress: Callable[[int, int], None] | None = None) -> Comparison:
    """`mlnn.compare` as the settings describe it."""
    pin_threads(settings)
    data = dataset(settings)
    left, right = lanes(settings, data)
    shared = recipe(settings, data, left.objective.targets.outputs, settings.steps)
    mode, looks = (settings.mode, settings.looks) if isinstance(settings, CompareSettings) else ("study", None)
    engine, every = _how(settings)
    return compare(
        shared.model, left, right, shared.table, optimizer=left.optimizer, steps=shared.steps,
        batch_size=shared.batch_size, dtype=shared.dtype, seed=shared.seed, null_twins=settings.null_twins,
        threads=settings.threads, device=shared.device, progress=progress, mode=mode, looks=looks, engine=engine,
        trace_every=every, about=_names(settings),
    )  # fmt: skip


def shares(settings: ComparedSettings) -> bool:
    """Whether the comparison may be tried as rows beside those of other seeds: one that trains all lanes, in stacks if it can."""
    return _how(settings)[0] != "plain" and not (isinstance(settings, CompareSettings) and settings.mode == "verdict")


def run_together(settings: ComparedSettings, seeds: Sequence[int]) -> list[Comparison]:
    """What `run_comparison` gives, of these settings with each of some seeds; UnstackableError where they cannot be trained as one.

    Settings that are refused are refused otherwise than by `mlnn.compare`: ask that one for the words.
    """
    pin_threads(settings)
    data = dataset(settings)
    looks = settings.looks if isinstance(settings, CompareSettings) else None
    with own_world(settings.threads, settings.seed):
        left, right = (side.wrapped(data) for side in lanes(settings, data))
        shared = recipe(settings, data, left.objective.targets.outputs, settings.steps)
        at = looks_at("study", looks, shared.steps)
        plan = planned(shared, left, right, settings.null_twins, at, _how(settings)[1])
        found = compare_together(plan, seeds, settings.threads)
    for comparison in found:
        comparison.run = comparison.run.named(_names(settings))
    return found


def _how(settings: ComparedSettings) -> tuple[str, int]:
    """(Engine, steps to a row of the trace)."""
    if isinstance(settings, CompareSettings | GrowthSettings):
        return settings.engine, settings.trace_every
    return "auto", 1


def _names(settings: ComparedSettings) -> dict[str, object]:
    """The names under which the settings know what is run."""
    return {key: settings.names[key] for key in ("model", "data") if settings.names.get(key)}


def interval(settings: CompareSettings) -> tuple[float, float] | None:
    """The `domain` setting as a pair."""
    return None if settings.domain is None else (float(settings.domain[0]), float(settings.domain[1]))
