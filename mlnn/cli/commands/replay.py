"""Does this code still do a recorded step? replay.py CAPSULE factory=my_module:make [loss=my_module:my_loss]"""

from pathlib import Path

from mlnn.cli.said import Said
from mlnn.keys import ReplaySettings


def run(settings: ReplaySettings, _said: Said) -> None:
    from mlnn.comparing.comparison import unmet
    from mlnn.errors import ConfigError, RequirementNotMetError, RunFolderError
    from mlnn.recording import read_capsule
    from mlnn.recording.replay import replay
    from mlnn.recording.replay_page import replay_page, replay_panel
    from mlnn.report.console import paths, show
    from mlnn.runs import write_file
    from mlnn.settings import of_ones_own

    if len(settings.capsule) != 1:
        raise ConfigError(
            f"capsule: {len(settings.capsule)} given; one folder is needed: replay RECORDING/capsules/10 …"
        )
    if settings.factory is None:
        raise ConfigError("factory: none given; what makes the model is needed, e.g. factory=my_module:make")
    capsule = read_capsule(settings.capsule[0])
    found = replay(
        capsule,
        of_ones_own(settings.factory, "factory"),
        loss=None if settings.loss is None else of_ones_own(settings.loss, "loss"),
        step=None if settings.step is None else of_ones_own(settings.step, "step"),
        target=settings.target,
    )
    page = Path(settings.page or "replay.html")
    try:
        write_file(page, replay_page(found, capsule))
    except RunFolderError as problem:
        raise RunFolderError(f"page: {problem}") from None
    show(replay_panel(found, capsule))
    paths({"page": page})
    if settings.require is not None and not found.meets(settings.require):
        raise RequirementNotMetError(unmet(found, settings.require, None))
