"""Is exp(−loss) a likelihood? audit.py objective=… | loss=my_module:my_loss | experiment=catalogue"""

from pathlib import Path
from typing import Any

from mlnn.cli.compose import Settings, catalogue
from mlnn.cli.said import Said


def run(settings: Settings, said: Said) -> None:
    from mlnn.auditing import audit as certify
    from mlnn.auditing import check_kind, unmet
    from mlnn.environment import environment
    from mlnn.errors import RequirementNotMetError
    from mlnn.report.audit import audit_page, audits_page
    from mlnn.report.console import paths, progress, show
    from mlnn.report.console_audit import audit_table, certificate_panel
    from mlnn.runs import new_run
    from mlnn.settings import audited, pin_threads
    from mlnn.training import parse_dtype

    check_kind(settings["require"])
    pin_threads(settings)
    entries = catalogue(settings, said) if settings["catalogue"] else [(None, settings)]
    with new_run(settings["out"], "audit", settings["overwrite"]) as folder:
        found = []
        with progress(f"{len(entries)} losses") as advance:
            for name, entry in entries:
                loss, targets, name = audited(entry, name)
                dtype = parse_dtype(entry["dtype"])
                found.append(certify(loss, targets, outputs=entry["outputs"], dtype=dtype, name=name))
                advance(len(found), len(entries))
        told = [certificate.to_dict() for certificate in found]
        folder.write_json("certificate.json", told[0] if settings["catalogue"] is None else told)
        folder.write_text("report.html", audit_page(told[0]) if settings["catalogue"] is None else audits_page(told))
        folder.write_text("config.yaml", settings["config"])
        folder.write_json("environment.json", environment())

    show(audit_table(told) if settings["catalogue"] else certificate_panel(told[0]))
    paths({"page": folder.final / "report.html", "numbers": folder.final / "certificate.json"})
    missed = unmet(found, settings["require"])
    if missed:
        raise RequirementNotMetError(missed)


def headline(folder: Path) -> dict[str, Any]:
    """What a table of many audits says of the one in `folder`."""
    from mlnn.runs import read_json

    found = read_json(folder / "certificate.json")
    return {key: found[key] for key in ("kind", "tau", "residual") if key in found}
