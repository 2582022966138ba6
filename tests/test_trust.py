"""What a config may name: every route out of the allowed modules is walked here, and refused."""

import functools
import importlib
import inspect
import subprocess
import sys
import time

import pytest
import torch
from app_cases import CONFIGS

import mlnn.objectives
from mlnn.errors import ConfigError, DataError
from mlnn.shipped import targets
from mlnn.trust import check_arguments, check_targets, instantiate, resolve

ZOO = """
import functools, os, pathlib, wsgiref
from os import system as shell
from subprocess import run
from torch.nn import Linear, Module
from torch import load
from mlnn.errors import DataError
from mlnn.trust import resolve as finder
from mlnn.data.extras import optional
from mlnn.runs.environment import environment
from mlnn.objectives import Bernoulli
from mlnn.objectives import bce as own_bce
from torch.nn import DataParallel
class Net(Module):
    def __init__(self, width, depth=2):
        super().__init__()
        self.width, self.depth = width, depth
    @classmethod
    def wide(cls):
        return cls(99)
def collect(**items):
    return items
def bad():
    raise DataError("row 3")
def clumsy():
    raise ValueError("row 4")
def positional(a, /, b=1):
    return a, b
class Permissive:
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)
    def __init__(self, width):
        self.width = width
listing = functools.partial(os.listdir, ".")
number = 3
"""


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A trusted package `my_zoo` with a submodule that has the name of an attribute."""
    package = tmp_path / "my_zoo"
    package.mkdir()
    (package / "__init__.py").write_text(ZOO + "from my_zoo.twice import twice\n")
    (package / "twice.py").write_text("def twice(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield ("my_zoo",)
    for name in [n for n in sys.modules if n.split(".")[0] == "my_zoo"]:
        del sys.modules[name]


def naive(target):
    """The resolver that leaks: import what can be imported, then walk the attributes."""
    parts = target.split(".")
    found = importlib.import_module(parts[0])
    for index, part in enumerate(parts[1:], start=2):
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(".".join(parts[:index]))
    return found


ALLOWED = """
torch.nn.Linear torch.nn.modules.linear.Linear torch.optim.SGD torch.optim.adam.Adam mlnn.data.table mlnn.models.MLP
mlnn.objectives.bce mlnn.objectives.Bernoulli
"""


@pytest.mark.parametrize("target", ALLOWED.split())
def test_what_a_config_may_name(target):
    assert resolve(target) == naive(target)
    check_targets({"a": [{"_target_": target}]})


ELSEWHERE = """
os.system builtins.eval torch.load torch.utils.collect_env.run torch.hub.load torch.nnx.A torch.nn.Module.__class__
torch.optim.Optimizer.__init__.__globals__ torch.nn.functional.__builtins__ torch.nn.functional._canonical_mask
torch.jit.load torch.serialization.load torch.compile torch.distributed.init_process_group
"""
OF_MLNN = """
mlnn.trust.resolve mlnn.runs.new_run mlnn.seeding.derive mlnn.seeding.derive.__globals__ mlnn.targets.TargetSpace.parse
mlnn.targets.__loader__.get_data mlnn.data.dataset.torch.load mlnn.data.dataset.Tensor mlnn.targets.re.compile
mlnn.seeding.hashlib.sha256 mlnn.errors.difflib.get_close_matches mlnn.errors.MlnnError.mro mlnn.data.extras.optional
mlnn.data.table.Path mlnn.data.table.table mlnn.data.table.warnings.warn mlnn.models.torch.load mlnn.data.from_arrays
mlnn.settings.dataset mlnn.settings.resolve mlnn.settings.instantiate speed.write_rows mlnn.estimating.race.write_rows
mlnn.comparing.growth.growth mlnn.comparing.growth.joblib.Parallel mlnn.training.lane.guard mlnn.compare mlnn.audit mlnn.app.run
mlnn.report.growth_png mlnn.report.console.paths mlnn.objectives.bce.Objective mlnn.likelihoods.bernoulli.Bernoulli
mlnn.models.MLP.load_state_dict mlnn.models.MLP.forward mlnn.runs.environment.environment mlnn.shipped.config_dir
mlnn.received.open_plain mlnn.comparing.comparison.Comparison mlnn.trust.names.importlib.import_module
"""
OF_TORCH = """
torch.nn.functional.torch.load torch.nn.functional.importlib.import_module torch.nn.functional.np.fromfile
torch.nn.modules.module.torch.utils.collect_env.run torch.nn.modules.container.operator.attrgetter
torch.optim.optimizer.functools.partial torch.optim.lr_scheduler.LRScheduler torch.optim.sgd.Optimizer.mro
torch.nn.Module.load_state_dict torch.nn.Module.mro torch.nn.functional.relu torch.nn.init.zeros_ torch.nn.Parameter
torch.nn.modules.module.OrderedDict torch.nn.Module.register_parameter torch.nn.Linear.Module torch.nn.Linear.forward
torch.nn.utils.clip_grad_norm_ torch.nn.utils.parametrize.ParametrizationList torch.nn.parallel.DistributedDataParallel
torch.nn.DataParallel torch.nn.parallel.distributed.DistributedDataParallel torch.nn.modules.module.torch
torch.optim.swa_utils.AveragedModel torch.optim.swa_utils.update_bn torch.optim.lr_scheduler.LambdaLR
torch.nn.modules.utils.collections.OrderedDict torch.optim.optimizer.torch.load torch.nn.modules.Linear.mro
"""
IMPORTED_BY_ZOO = """
os.system shell run load pathlib.Path.write_text functools.partial listing finder optional environment DataParallel
Bernoulli.nll Net.load_state_dict Net.mro
"""


@pytest.mark.parametrize("target", (ELSEWHERE + OF_MLNN + OF_TORCH).split())
def test_what_is_refused_imports_nothing(target):
    before = set(sys.modules)
    with pytest.raises(ConfigError, match="refused") as caught:
        check_targets({"model": {"layers": [{}, {"_target_": target}]}})
    assert str(caught.value).startswith(f"config.model.layers[1]._target_: '{target}'")
    with pytest.raises(ConfigError, match="refused"):
        resolve(target)
    assert set(sys.modules) == before


REAL = ["mlnn.data.extras.optional", "mlnn.settings.resolve", "torch.nn.functional.torch.load", "torch.nn.DataParallel"]


@pytest.mark.parametrize("target", REAL)
def test_the_routes_that_are_refused_are_real(target):
    assert callable(naive(target))


def test_every_shipped_constructor_is_allowed_and_nothing_is_missed():
    written = subprocess.run(
        ["grep", "-rhoE", r"_target_: *[a-zA-Z0-9_.]+", CONFIGS], capture_output=True, text=True, check=True
    )
    names = {line.split(":")[1].strip() for line in written.stdout.splitlines()}
    assert names == set(targets())
    assert len(names) > 70
    assert all(callable(resolve(name)) for name in names)


@pytest.mark.parametrize("area", ["torch.nn.modules", "torch.optim"])
def test_all_that_torch_offers_of_the_kind_is_at_home(area):
    """No class that a config may name starts a process group, moves itself to a device or reads a file."""
    public = importlib.import_module(area)
    named = [name for name, found in vars(public).items() if inspect.isclass(found) and name[0] != "_"]
    allowed = [name for name in named if is_allowed(f"{area}.{name}")]
    assert len(allowed) > 10
    assert not {"DataParallel", "DistributedDataParallel", "AveragedModel"} & set(allowed)


def is_allowed(target):
    try:
        check_targets({"_target_": target})
    except ConfigError:
        return False
    return True


ODD = [
    "torch.nn.Lin\u0435ar",  # a Cyrillic letter
    "\uff54orch.nn.Linear",  # a wide one
    "mlnn.m\u043edels.MLP",
    " torch.nn.Linear",
    "torch.nn.Linear ",
    "torch.nn.Linear\n",
    "torch.nn.Linear.",
    ".torch.nn.Linear",
    "torch.nn.\u202eraeniL",
    "torch.nn.Linear\x00",
    "mlnn.models.MLP\x1b[2J",
    "mlnn:models.MLP",
    "mlnn/models.MLP",
    "MLNN.models.MLP",
    "torch.nn." + "A" * 10**6,
    "torch.nn" + ".A" * 10**6,
    "." * 10**6,
    b"torch.nn.Linear",
    {"_target_": "torch.nn.Linear"},
    ["torch.nn.Linear"] * 10**5,
    1e400,
    10**400,
    True,
]


@pytest.mark.parametrize("target", ODD, ids=range(len(ODD)))
def test_an_odd_name_ends_in_a_short_error_at_once(target):
    started = time.perf_counter()
    for attempt in (
        lambda: check_targets({"_target_": target}),
        lambda: resolve(target),
        lambda: resolve(target, ["my_zoo"]),
    ):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert len(str(caught.value)) < 400
        assert all(character == "\n" or character.isprintable() for character in str(caught.value))
    assert time.perf_counter() - started < 5


def nested(depth, kind):
    node = {"_target_": "torch.nn.Linear"}
    for _ in range(depth):
        node = [node] if kind == "list" else {"inner": node}
    return node


def bomb(levels=60):
    """A list of the same two lists, and so on: few objects, 2^60 places."""
    node = ["x"]
    for _ in range(levels):
        node = [node, node]
    return node


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "node",
    [nested(10**4, "list"), nested(10**4, "map"), bomb(), {"a": [0] * 10**6}, {"k" * 10**6: nested(99, "map")}],
    ids=["lists", "maps", "aliases", "long", "key"],
)
def test_a_deep_or_large_node_ends_in_a_short_error_at_once(node):
    started = time.perf_counter()
    for attempt in (lambda: check_targets(node), lambda: instantiate({"_target_": "torch.nn.Linear", "a": node})):
        with pytest.raises(ConfigError, match=r"nested more than 64 deep|more than 200,000 values") as caught:
            attempt()
        assert len(str(caught.value)) < 400
    assert time.perf_counter() - started < 10  # unbounded, it never ends
    check_targets(nested(50, "list"))
    check_targets({"data": {"weights": list(range(10**5))}})


@pytest.mark.parametrize("value", [nested(10**4, "list"), {"a": 1}, "x\x1b[2J", "x" * 10**6], ids=range(4))
def test_a_special_key_of_any_kind_is_met_shortly(value):
    with pytest.raises(ConfigError, match=r"config\._partial_: found") as caught:
        check_targets({"_target_": "torch.nn.Linear", "_partial_": value})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", IMPORTED_BY_ZOO.split())
def test_a_trusted_module_does_not_pass_on_what_it_imported(zoo, name):
    assert callable(naive(f"my_zoo.{name}"))
    with pytest.raises(ConfigError, match="is refused: it leads to"):
        resolve(f"my_zoo.{name}", zoo)


def test_a_walk_out_of_a_trusted_module_imports_nothing_more(zoo, monkeypatch):
    monkeypatch.delitem(sys.modules, "wsgiref.simple_server", raising=False)
    with pytest.raises(ConfigError, match="it leads to module 'wsgiref'"):
        resolve("my_zoo.wsgiref.simple_server.make_server", zoo)
    assert "wsgiref.simple_server" not in sys.modules


def test_a_trusted_module_is_used_in_full(zoo):
    assert resolve("my_zoo.Net", zoo).__name__ == "Net"
    assert resolve("my_zoo.Net.wide", zoo)().width == 99
    assert resolve("my_zoo.Linear", zoo) is torch.nn.Linear
    assert resolve("my_zoo.DataError", zoo) is DataError
    assert resolve("my_zoo.Bernoulli", zoo) is mlnn.objectives.Bernoulli
    assert resolve("my_zoo.own_bce", zoo) is mlnn.objectives.bce
    assert resolve("my_zoo.twice", zoo)(2) == resolve("my_zoo.twice.twice", zoo)(2) == 4
    with pytest.raises(ConfigError, match="'__globals__' begins with an underscore"):
        resolve("my_zoo.collect.__globals__", zoo)


def test_a_refused_module_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "evil_zoo.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\ndef make():\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    node = {"_target_": "torch.nn.Identity", "inner": {"_target_": "evil_zoo.make"}}
    for attempt in (check_targets, instantiate, lambda n: resolve(n["inner"]["_target_"])):
        with pytest.raises(ConfigError, match=r"trust=\[evil_zoo\]"):
            attempt(node)
    assert "evil_zoo" not in sys.modules
    assert not (tmp_path / "mark").exists()
    resolve("evil_zoo.make", ["evil_zoo"])  # the mark does appear once the module is trusted
    assert (tmp_path / "mark").exists()
    del sys.modules["evil_zoo"]


def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "here_zoo.py").write_text("def make():\n    return 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    importlib.invalidate_caches()
    assert resolve("here_zoo.make", ["here_zoo"])() == 7
    assert sys.path[-1] == str(tmp_path)
    del sys.modules["here_zoo"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "import no_such_module_x",
            "importing 'broken_zoo' raised ModuleNotFoundError: No module named 'no_such_module_x'",
        ),
        ("1 / 0", "importing 'broken_zoo' raised ZeroDivisionError"),
        ("raise SystemExit(3)", "importing 'broken_zoo' raised SystemExit: 3"),
        ("def make(): pass", "'broken_zoo' has no 'mak'. Did you mean 'make'"),
        ("mak = 3", "is a int, not a class or function"),
    ],
)
def test_an_import_that_fails_says_how(tmp_path, monkeypatch, body, message):
    (tmp_path / "broken_zoo.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_zoo", raising=False)
    with pytest.raises(ConfigError) as caught:
        resolve("broken_zoo.mak", ["broken_zoo"], "model._target_")
    assert str(caught.value).startswith("model._target_: ")
    assert message in str(caught.value)
    sys.modules.pop("broken_zoo", None)


def test_names_that_lead_nowhere():
    with pytest.raises(ConfigError, match="no module 'my_zoo' in the current folder or the environment"):
        resolve("my_zoo.Net", ["my_zoo"])
    with pytest.raises(ConfigError, match=r"'torch\.nn' has no 'Linaer'. Did you mean 'Linear'"):
        resolve("torch.nn.Linaer")
    with pytest.raises(ConfigError, match="is a module, not a class or function"):
        resolve("torch.nn.modules.linear")


@pytest.mark.parametrize("target", [None, 3, "Linear", "torch..nn", "torch.nn.Linear()", "${oc.env:HOME}", ["a.b"], ""])
def test_a_target_is_a_dotted_name_and_trust_a_list(target):
    with pytest.raises(ConfigError, match="is not a dotted name"):
        check_targets({"_target_": target})
    for trusted in ("my_zoo", ["my_zoo.models"], [3]):
        with pytest.raises(ConfigError, match=r"trust: .*trust=\[my_zoo\]"):
            check_targets({"_target_": "torch.nn.Linear"}, trusted)


SPECIAL = [("_args_", [1]), ("_partial_", 1), ("_partial_", "yes"), ("_convert_", "x"), ("_recursive_", None)]


@pytest.mark.parametrize(("key", "value"), SPECIAL)
def test_special_keys(key, value):
    with pytest.raises(ConfigError, match=rf"config\.m\.{key}"):
        check_targets({"m": {"_target_": "torch.nn.Linear", key: value}})


def test_arguments_are_checked_by_name(zoo):
    check_arguments(torch.nn.Linear, ["in_features", "bias"], "model")
    with pytest.raises(ConfigError, match=r"model\.in_feature: .*Did you mean 'in_features'"):
        check_arguments(torch.nn.Linear, ["in_feature"], "model")
    with pytest.raises(ConfigError, match="unknown argument 'self'"):
        check_arguments(torch.nn.Linear, ["self"], "model")
    with pytest.raises(ConfigError, match=r"unknown argument 'widht'\. Did you mean 'width'"):
        check_arguments(resolve("my_zoo.Permissive", zoo), ["widht"], "model")
    with pytest.raises(ConfigError, match="unknown argument 'a'"):
        check_arguments(resolve("my_zoo.positional", zoo), ["a"], "model")
    check_arguments(resolve("my_zoo.collect", zoo), ["anything"], "model")


def test_instantiate_builds_inner_nodes_first(zoo):
    inner = {"_target_": "my_zoo.Net", "width": 3}
    node = {"_target_": "my_zoo.collect", "_convert_": "all", "net": inner, "nets": [inner, 4], "plain": {"a": (1, 2)}}
    built = instantiate(node, zoo, seed=0)
    assert (built["net"].width, built["nets"][0].depth, built["nets"][1]) == (3, 2, 4)
    assert (built["plain"], built["seed"]) == ({"a": [1, 2]}, 0)
    assert instantiate({**node, "_recursive_": False}, zoo)["net"] == inner
    assert instantiate({**node, "net": "???"}, zoo, net=5)["net"] == 5


def test_instantiate_partial():
    made = instantiate({"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5})
    assert isinstance(made, functools.partial)
    assert made([torch.zeros(1, requires_grad=True)]).defaults["lr"] == 0.5
    with pytest.raises(ConfigError, match=r"optimizer\.learning_rate: unknown argument"):
        instantiate({"_target_": "torch.optim.SGD", "_partial_": True, "learning_rate": 1}, where="optimizer")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"width": 1}, "model: no _target_"),
        ({"_target_": "my_zoo.Net"}, "model.width: Net needs this argument"),
        ({"_target_": "my_zoo.Net", "width": "???"}, "mandatory value model.width is missing"),
        ({"_target_": "my_zoo.collect", "a": [{"b": "???"}]}, "mandatory value model.a[0].b is missing"),
        (
            {"_target_": "my_zoo.Net", "width": 1, "dept": 2},
            "model.dept: unknown argument 'dept'. Did you mean 'depth'",
        ),
        ({"_target_": "my_zoo.clumsy"}, "model: my_zoo.clumsy raised ValueError: row 4"),
        ({"_target_": "my_zoo.collect", "a": {"_target_": "my_zoo.Net"}}, "model.a.width: Net needs"),
    ],
)
def test_instantiate_says_which_key(zoo, node, message):
    with pytest.raises(ConfigError) as caught:
        instantiate(node, zoo, "model")
    assert str(caught.value).startswith(message)
    with pytest.raises(DataError, match=r"^row 3$"):  # an error of mlnn's own passes through
        instantiate({"_target_": "my_zoo.bad"}, zoo)
