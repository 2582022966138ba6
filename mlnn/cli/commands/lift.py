"""What does a recorded training minimise? lift.py CAPSULE [target=labels] [targets=counts]"""

from pathlib import Path

from mlnn.cli.said import Said
from mlnn.keys import LiftSettings


def run(settings: LiftSettings, _said: Said) -> None:
    from mlnn.auditing import audit, unmet
    from mlnn.auditing.console import certificate_panel
    from mlnn.auditing.page import audit_page
    from mlnn.errors import ConfigError, RequirementNotMetError, RunFolderError
    from mlnn.lifting.described import is_of_rows
    from mlnn.recording import described, lift
    from mlnn.report.console import paths, show
    from mlnn.runs import write_file

    if len(settings.capsule) != 1:
        raise ConfigError(f"capsule: {len(settings.capsule)} given; one folder is needed: lift RECORDING/capsules/10 …")
    objective = lift(settings.capsule[0], target=settings.target, targets=settings.targets)
    if not is_of_rows(objective):
        show(f"The training {described(objective)}")
        if settings.require is not None:
            raise RequirementNotMetError(f"required '{settings.require}': its rows do not stand alone")
        return
    found = audit(objective)
    page = Path(settings.page or "lift.html")
    try:
        write_file(page, audit_page(found))
    except RunFolderError as problem:
        raise RunFolderError(f"page: {problem}") from None
    show(f"The training {described(objective, found)}")
    show(certificate_panel(found))
    paths({"page": page})
    missed = unmet([found], settings.require)
    if missed:
        raise RequirementNotMetError(missed)
