"""What the two sides compute in, in words: a finding of its own, and never a difference of objectives."""

from mlnn.comparing.probed import Probe

SIDES = ("left", "right")


def computes_in(probe: Probe) -> dict[str, str]:
    """The sides that compute in less than float64 when they are given float64, or in less than the run does, with what in."""
    return {side: inside.name for side, inside in zip(SIDES, probe.computing, strict=True) if inside.name}


def sealed_sides(probe: Probe) -> dict[str, str]:
    """The sides that no promotion reaches, with what they compute in: the pair is then judged in float32 alone."""
    return {side: inside.name or "" for side, inside in zip(SIDES, probe.computing, strict=True) if inside.sealed}


def as_computed(probe: Probe, relation: str, which: int) -> str:
    """A relation of values (0) or gradients (1), no stronger than what the two compute in allows in this run."""
    if relation == "equal" and sealed_sides(probe):
        return "indistinguishable"
    return "indistinguishable" if relation in ("bitwise", "equal") and probe.lowered[which] else relation


def said_inside(probe: Probe) -> str | None:
    """One sentence on what the sides compute in; None where both compute in what they are given."""
    found, sealed = computes_in(probe), sealed_sides(probe)
    if not found:
        return None
    if len(set(found.values())) == 1 and len(found) == len(SIDES) and len(sealed) in (0, len(SIDES)):
        word = found["left"]
        return (
            f"Both kernels compute in {word} whatever they are given." if sealed else f"Both compute in {word} inside."
        )
    told = [
        f"{side}'s kernel computes in {word} whatever it is given"
        if side in sealed
        else f"{side} computes in {word} inside"
        for side, word in found.items()
    ]
    return _sentence(", ".join(told))


def same_mathematics(probe: Probe, own: str) -> str:
    """The relation of two that differ by what they compute in, and by nothing else."""
    inside = str(said_inside(probe)).removesuffix(".")
    off = max(probe.lowered)
    return (
        f"Left and right are the same mathematics. {inside}, which puts the two up to {off:.1g} (relative) apart in a {own} run,"
        f" more than {own}'s own rounding."
    )


def judged_alone(probe: Probe, size: str) -> str:
    """The relation of two of which one cannot be asked in float64."""
    why = next(inside.sealed for inside in probe.computing if inside.sealed)
    inside = str(said_inside(probe)).removesuffix(".")
    return (
        f"{inside} ({why}), so left and right were judged in float32 alone, against rounding measured there: they differ by"
        f" {size}, no more than it explains."
    )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
