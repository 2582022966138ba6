"""Is exp(−loss) a likelihood? audit.py objective=… | loss=my_module:my_loss | experiment=catalogue"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlnn.cli.compose import catalogue
from mlnn.cli.parts import Parts
from mlnn.cli.running import answering, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import AuditSettings

if TYPE_CHECKING:
    from mlnn.auditing import Certificate


def run(settings: AuditSettings, said: Said) -> None:
    from mlnn.auditing import unmet
    from mlnn.auditing.console import audit_table, certificate_panel
    from mlnn.auditing.page import audit_page, audits_page
    from mlnn.errors import RequirementNotMetError
    from mlnn.report.console import progress, show
    from mlnn.settings import pin_threads

    pin_threads(settings)
    entries: Sequence[tuple[str | None, AuditSettings]] = [(None, settings)]
    if settings.catalogue:
        entries = catalogue(settings, said)
    with answering(settings, said) as folder:
        found, parts = [], Parts(len(entries))
        with progress(f"{len(entries)} losses") as advance:
            for place, (name, entry) in enumerate(entries, start=1):
                one = parts.try_one(str(name), partial(_certificate, name, entry))
                found += [one] if one else []
                advance(place, len(entries))
        told = [certificate.to_dict() for certificate in found]
        folder.write_json("certificate.json", told[0] if settings.catalogue is None else told)
        page = audit_page(found[0]) if settings.catalogue is None else audits_page(found)
        write_page(folder, page, settings.figure)

    show(audit_table(found) if settings.catalogue else certificate_panel(found[0]))
    point_to(folder.final, page="report.html", numbers="certificate.json")
    parts.check()
    missed = unmet(found, settings.require)
    if missed:
        raise RequirementNotMetError(missed)


def _certificate(name: str | None, entry: AuditSettings) -> "Certificate":
    from mlnn.auditing import audit as certify
    from mlnn.settings import audited
    from mlnn.training import parse_dtype

    loss, targets, name = audited(entry, name)
    return certify(loss, targets, outputs=entry.outputs, dtype=parse_dtype(entry.dtype), name=name, prove=entry.prove)


def headline(folder: Path) -> dict[str, object]:
    """What a table of many audits says of the one in `folder`."""
    from mlnn.runs import read_json

    found = read_json(folder / "certificate.json")
    proof = {"proof": found["proof"]["answer"]} if found.get("proof") else {}
    return {key: found[key] for key in ("kind", "scale", "residual") if key in found} | proof
