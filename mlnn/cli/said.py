"""What was said on the command line: read once, from the process's own arguments, into a record that nothing changes.

Keys that say where mlnn writes, what code it imports and how much it reads count here and nowhere else: a composed config
cannot speak for the person at the keyboard. Jobs of a sweep get their record in memory.
"""

import argparse
import dataclasses
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from mlnn.errors import ConfigError
from mlnn.visible import shown

ALOUD = ("trust", "loss", "factory", "step", "out", "overwrite", "resume", "resume_anyway", "interrupted", "page", "most_jobs",
         "most_config_bytes")  # fmt: skip
"""Keys that count on the command line only; so does every other key that begins with `most_`, wherever it stands."""
MOST_JOBS, MOST_CONFIG_BYTES = 1000, 1_000_000
PATHS = {"curves": "runs", "diff": "recordings", "replay": "capsule", "lift": "capsule", "runs": "ask"}
"""Commands whose arguments may be paths, and the key that these fill."""
REFUSED = ("-cp", "--config-path", "-cn", "--config-name", "--experimental-rerun")
"""Options of Hydra's that would put a received file in the place of a shipped one, or unpickle it."""
OF_CELLS = ("growth", "compare", "beyond_one_node")
"""Commands that have cells, or may have, which a launcher can take without -m."""
LAUNCHING = re.compile(r"hydra/launcher|hydra\.launcher\..+")


@dataclass(frozen=True)
class Said:
    """`words`: overrides as typed. `config_dir`: a folder of the user's own choices. `many`: -m. `show`: one of Hydra's own
    pages (--help, --cfg job) instead of a run. `called`: how the command was started, to print it once more.
    `resume`: the run that is gone on with, `anyway`: in another environment too."""

    command: str
    words: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    config_dir: str | None = None
    many: bool = False
    show: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    resume: Path | None = None
    anyway: bool = False

    @cached_property
    def overrides(self) -> tuple[Override, ...]:
        """The words, parsed; raises ConfigError for one that cannot be read."""
        return tuple(parse(self.words))

    @cached_property
    def task_words(self) -> tuple[str, ...]:
        """The words that are about the task, not about launching it."""
        return tuple(str(o.input_line) for o in self.overrides if not o.is_hydra_override())

    def value(self, key: str, default: Any = None) -> Any:
        """What `key` was set to here, the last time that it was; `default` where it was not."""
        return next((o.value() for o in reversed(self.overrides) if o.key_or_group == key), default)

    def has(self, key: str) -> bool:
        """Whether `key` was set here."""
        return any(o.key_or_group == key for o in self.overrides)

    def limit(self, key: str, usual: int) -> int:
        """A bound such as `most_jobs`, which only the command line can move."""
        value = self.value(key, usual)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{key}: {value!r}; a whole number above 0 is needed")
        return value

    def without(self, *keys: str) -> "Said":
        """The same less what sets one of these keys."""
        kept = tuple(str(o.input_line) for o in self.overrides if o.key_or_group not in keys)
        return dataclasses.replace(self, words=kept)

    def again(self, out: Path) -> str:
        """The command line that goes on with what is in the folder `out`."""
        options = (*(("--config-dir", self.config_dir) if self.config_dir else ()), *(("-m",) if self.many else ()))
        words = self.without("out", "overwrite").words
        here = os.path.relpath(out)
        folder = here if not here.startswith("..") else str(out)
        return shlex.join([*self.called, *options, *words, f"out={quoted(folder)}"])


def read(command: str, arguments: Sequence[str], called: Sequence[str] = ()) -> Said:
    """The record of one process's arguments; raises ConfigError for an option or word that cannot be read."""
    refused = next((word for word in arguments if word.partition("=")[0] in REFUSED), None)
    if refused is not None:
        raise ConfigError(f"{refused}: is not read here; --config-dir DIR adds choices of your own to mlnn's")
    found, rest = _parser(command).parse_known_intermixed_args(list(arguments))
    odd = next((word for word in rest if word.startswith("-")), None)
    if odd is not None:
        raise ConfigError(f"{odd}: unknown option; there are --help, -m, --config-dir DIR, --cfg job")
    words = (*found.words, *rest)
    paths = tuple(filter(_is_path, words)) if command in PATHS else ()
    overrides = tuple(word for word in words if word not in paths)
    odd = next((word for word in overrides if not is_text(word)), None)
    if odd is not None:
        raise ConfigError(f"{odd[:80]!r}: is no UTF-8 text")
    said = Said(command, overrides, paths, found.config_dir, found.multirun, _page(found), tuple(called))
    _check(said)
    return said


def is_text(word: str) -> bool:
    """Whether all of it can be written: half of a surrogate pair, or a byte that was no UTF-8, cannot."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_path(word: str) -> bool:
    return "=" not in word or os.path.lexists(word)


def _page(found: argparse.Namespace) -> tuple[str, ...]:
    """The options that ask for a page of Hydra's and say how it is shown; ConfigError for the second without the first."""
    flags = {"--help": found.help, "--hydra-help": found.hydra_help, "--resolve": found.resolve}
    valued = {"--cfg": found.cfg, "--package": found.package, "--info": found.info}
    show = [option for option, said in flags.items() if said]
    show += [word for option, value in valued.items() if value is not None for word in (option, value)]
    if show and not {"--help", "--hydra-help", "--cfg", "--info"} & set(show):
        raise ConfigError(f"{show[0]}: says how a page is shown; name one: --cfg job, --help")
    return tuple(show)


def parse(words: Sequence[str]) -> list[Override]:
    """Overrides in Hydra's grammar; raises ConfigError naming the one that cannot be read."""
    parser, found = OverridesParser.create(), []
    for word in words:
        try:
            found.append(parser.parse_override(word))
        except (HydraException, RecursionError) as problem:
            first = (str(problem).splitlines() or [type(problem).__name__])[0]
            told = f"{shown(word)}: cannot be read ({shown(first, 120)}); quote it: 'key=\"a=b\"', 'key=[a,b]'"
            raise ConfigError(told) from None
    return found


def jobs(said: Said) -> list[tuple[tuple[str, ...], Said]]:
    """(the words that are swept, the record of one job) for every combination of a sweep; raises ConfigError above `most_jobs`."""
    most = said.limit("most_jobs", MOST_JOBS)
    choices, count = [], 1
    for override in said.overrides:
        if override.is_hydra_override():
            continue
        found = list(islice(_values(override), most + 1))
        count *= len(found)
        if count > most:
            raise ConfigError(
                f"-m: more than {most} jobs ('{shown(override.input_line, 60)}'); most_jobs=… allows more"
            )
        choices.append(found)
    swept = [place for place, found in enumerate(choices) if len(found) > 1]
    return [
        (tuple(words[place].lstrip("+") for place in swept),
         dataclasses.replace(said, words=words, many=False))
        for words in product(*choices)
    ]  # fmt: skip


def _values(override: Override) -> Any:
    """The words that one word of a sweep stands for."""
    if not override.is_sweep_override():
        return iter([override.input_line])
    if not override.is_discrete_sweep():
        raise ConfigError(f"{shown(override.input_line)}: an interval cannot be swept; name its values: key=1,2,3")
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():  # a glob asks it for the choices of a group
        override.config_loader = GlobalHydra.instance().config_loader()
    return (f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator())


def quoted(text: str) -> str:
    """A value as Hydra's grammar reads it whole."""
    return text if re.fullmatch(r"[\w./+-]+", text) else "'" + text.replace("\\", "\\\\").replace("'", r"\'") + "'"


def _check(said: Said) -> None:
    for override in said.overrides:
        key = override.key_or_group
        if key.split(".")[0].split("/")[0] == "hydra" and not LAUNCHING.fullmatch(key):
            raise ConfigError(f"{key}: of Hydra's own settings only hydra/launcher and hydra.launcher.… are read")
        if override.is_hydra_override() and not said.many and said.command not in OF_CELLS:
            raise ConfigError(
                f"{key}: {said.command} is one run, which no launcher divides; add -m, and every combination is a job"
            )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help shows how the command is used")


def _parser(command: str) -> argparse.ArgumentParser:
    parser = _Parser(command, add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--hydra-help", action="store_true")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("-cd", "--config-dir")
    parser.add_argument("-c", "--cfg", choices=("job", "hydra", "all"))
    parser.add_argument("-p", "--package")
    parser.add_argument("-i", "--info", nargs="?", const="all",
                        choices=("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"))  # fmt: skip
    return parser
