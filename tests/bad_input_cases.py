"""Bad inputs by name: the files that lie there, what is typed, how it ends, and what the message must name."""

from typing import NamedTuple

ROWS = "".join(f"{k},{k % 3},{k % 2}\n" for k in range(12))
OWN = """
class Net:
    pass

def fails(o, t):
    raise ValueError("no")

def text(o, t):
    return "x"

def wide(o, t):
    return (o - t)[:, None] * (o - t)

def ends(o, t):
    raise SystemExit(3)

def one(o):
    return o
"""
FILES: dict[str, str | bytes] = {
    "t.csv": "a,b,y\n" + ROWS,
    "counts.csv": "a,y\n" + "".join(f"{k},{k % 4}\n" for k in range(12)),
    "negative.csv": "a,y\n" + "".join(f"{k},{k - 3}\n" for k in range(12)),
    "dates.csv": "a,y\n" + "".join(f"2020-01-{k + 1:02d},{k % 2}\n" for k in range(12)),
    "headless.csv": "1,0\n2,1\n3,0\n",
    "target.csv": "y\n0\n1\n0\n",
    "beyond.csv": "a,y\n1e999,0\n2,1\n3,0\n",
    "labels.csv": "a,y\n" + "".join(f"{k},{'yes' if k % 2 else 'no'}\n" for k in range(12)),
    "hole.csv": "a,y\n1,0\n2,\n3,1\n4,0\n",
    "quote.csv": 'a,y\n"1,0\n2,1\n',
    "ragged.csv": "a,y\n1,0\n2,1,3\n",
    "classes.csv": "a,y\n" + "".join(f"{k},c{k}\n" for k in range(12)),
    "wide.csv": "a,y\n1,0\n".encode("utf-16"),
    "nothing.csv": b"",
    "zero.csv": b"a,y\n1\0,0\n2,1\n",
    "t.txt": "a,y\n1,0\n2,1\n",
    "no.parquet": "PAR1nonsense",
    "no.csv.gz": "no gzip",
    "log.csv": "step,loss\n0,2\n1,1\n",
    "full/notes": "mine",
    "file": "mine",
    "conf/model/odd.yaml": "_target_: mlnn.models.MLP\n_partial_: true\nwidth: [1\n",
    "conf/model/half.yaml": '{"_target_": "mlnn.models.MLP", "_partial_": true, "activation": "\\ud800"}\n',
    "conf/optimizer/odd.yaml": "_target_: torch.optim.SGD\n_partial_: true\nlr: .nan\n",
    "own_parts.py": OWN,
}  # fmt: skip

TABLE = ("train", "data=table", "data.target=y", "data.held_out=0", "model=logistic", "batch_size=2", "steps=1")
TRAIN = ("train", "data=spector", "model=mlp", "batch_size=8", "steps=1")
COMPARE = ("compare", "data=spector", "model=mlp", "batch_size=8", "steps=1", "null_twins=0")
ESTIMATE = ("estimate", "data=spector", "steps=0")
MINE = ("--config-dir", "conf")


class Bad(NamedTuple):
    """One bad input: the command with its words, the exit code, and what stands in the message."""

    words: tuple[str, ...]
    code: int
    named: tuple[str, ...]


def _table(words: str, code: int, *named: str) -> Bad:
    first, _, rest = words.partition(" ")
    return Bad((*TABLE, f"data.path={first}", *filter(None, rest.split(" & "))), code, named)


def _of(command: tuple[str, ...], words: str, code: int, *named: str) -> Bad:
    return Bad((*command, *filter(None, words.split(" & "))), code, named)


DATA = {
    "counts or classes": _table("counts.csv", 3, "counts.csv", "'y'", "targets="),
    "negative targets": _table("negative.csv", 2, "bce", "'real'"),
    "dates as numbers": _table("dates.csv", 3, "row 1", "'a'", "2020-01-01"),
    "no header": _table("headless.csv", 3, "'y'", "headless.csv"),
    "no features": _table("target.csv", 2, "data.features", "'y'"),
    "number beyond float": _table("beyond.csv", 3, "row 1", "'a'", "inf"),
    "text labels": _table("labels.csv", 3, "'no', 'yes'", "positive="),
    "missing target": _table("hole.csv", 3, "row 2", "'y'", "missing"),
    "open quote": _table("quote.csv", 3, "quote.csv", "CSV"),
    "too many cells": _table("ragged.csv", 3, "ragged.csv", "line 3"),
    "too many classes": _table("classes.csv", 2, "bce", "classes(12)"),
    "another encoding": _table("wide.csv", 3, "wide.csv", "utf-8"),
    "empty file": _table("nothing.csv", 3, "nothing.csv", "No columns"),
    "zero byte": _table("zero.csv", 3, "row 1", "'a'", r"1\x00"),
    "wrong ending": _table("t.txt", 3, "'t.txt'", ".csv"),
    "no Parquet": _table("no.parquet", 3, "no.parquet", "Parquet"),
    "no gzip": _table("no.csv.gz", 3, "no.csv.gz", "decompressing"),
    "a folder": _table("full", 3, "'full'", ".csv"),
    "no path": _table("null", 3, "data.path", "None"),
    "a number for a path": _table("3", 3, "data.path", "3"),
    "an address": _table("http://x/t.csv", 3, "address", "nothing is fetched"),
    "not there": _table("nope.csv", 3, "no file", "nope.csv"),
    "target not there": _table("t.csv data.target=z", 3, "'z'", "t.csv"),
    "targets of no space": _table("t.csv data.targets=gaussian", 2, "targets", "'gaussian'"),
    "classes of none": _table("t.csv data.targets=classes", 2, "classes(K)"),
    "all held out": _table("t.csv data.held_out=1", 2, "held_out", "1"),
    "NaN held out": _table("t.csv data.held_out=nan", 2, "held_out", "nan"),
    "missing by no way": _table("t.csv data.missing=ignore", 2, "data.missing", "'ignore'", "drop"),
    "standardize in words": _table("t.csv data.standardize=maybe", 2, "standardize", "'maybe'"),
    "a call in a formula": _table("t.csv data.formula='y ~ exec(a)'", 2, "data.formula", "'exec'"),
    "half a formula": _table("t.csv data.formula='y ~ '", 2, "data.formula", "'y ~ a + b'"),
    "unknown outcome": _table("t.csv data.formula='z ~ a'", 2, "'z'", "a, b, y"),
    "formula of a number": _table("t.csv data.formula=3", 2, "data.formula", "3"),
    "unknown offset": _table("t.csv data.offset=zz", 3, "'zz'"),
    "unknown label": _table("t.csv data.positive=7", 3, "'7'", "'0', '1'"),
    "feature twice": _table("t.csv data.features=[a,a]", 2, "data.features", "twice"),
    "target of a list": _table("t.csv data.target=[a]", 2, "data.target", "['a']"),
    "target of a group": _table("t.csv data.target={a:1}", 2, "data.target", "name of a column"),
    "offset of a list": _table("t.csv data.offset=[a]", 2, "data.offset", "['a']"),
    "features of a group": _table("t.csv data.features={a:1}", 2, "data.features", "names of columns"),
    "features of a number": _table("t.csv data.features=3", 2, "data.features", "3"),
    "feature of a list": _table("t.csv data.features=[[a]]", 2, "data.features", "['a']"),
    "feature is the target": _table("t.csv data.features=[y]", 2, "data.features", "'y'"),
    "too many rows": _table("t.csv data.most_rows=2", 3, "2 rows", "data.most_rows"),
    "limit below one": _table("t.csv data.most_rows=-1", 2, "data.most_rows", "-1"),
    "rows of no whole number": _of(TRAIN[:1], "data=synthetic & data.rows=1.5", 2, "rows", "1.5"),
    "rows beyond 64 bits": _of(
        TRAIN[:1], "data=synthetic & data.rows=9223372036854775808", 2, "data.rows", "250,000,000"
    ),
}
MODELS = {
    f"{key}={value}": _of(TRAIN, f"model.{key}={value}", 2, f"model.{key}", value.replace("null", "None"))
    for key, value in (
        ("width", "0"), ("width", "-1"), ("width", "1.5"), ("width", "x"), ("width", "null"), ("depth", "-1"), ("depth", "x"),
        ("activation", "rlu"), ("norm", "group"), ("dropout", "2"), ("dropout", "nan"), ("residual", "maybe"),
    )
} | {
    "images for rows": _of(TRAIN, "model=resnet", 2, "ResNet", "(3,)"),
    "a class of torch without arguments": _of(TRAIN, "model._target_=torch.nn.Bilinear", 2, "model"),
    "not trusted": _of(TRAIN, "model._target_=own_parts.Net", 2, "'own_parts.Net'", "trust=[own_parts]"),
    "a module that is not there": _of(TRAIN, "trust=[gone] & model._target_=gone.Net", 2, "'gone'"),
    "half of a character": Bad(("train", *MINE, *TRAIN[1:], "model=half"), 2, ("half", "activation", "half of a character")),
    "YAML that breaks off": Bad(("train", *MINE, *TRAIN[1:], "model=odd"), 2, ("odd", "line")),
}  # fmt: skip
NUMERICS = {
    key: _of(TRAIN, key, 2, key.split("=")[0].lstrip("+"))
    for key in (
        "steps=0", "steps=-1", "steps=1.5", "steps=nan", "steps=null", "batch_size=0", "batch_size=1.5", "batch_size=33",
        "seed=1.5", "seed=x", "seed=99999999999999999999999", "threads=0", "threads=1000000", "optimizer.lr=nan",
        "dtype=int32", "dtype=null", "figure.width=nan", "figure.font=0", "figure.format=tiff", "overwrite=maybe", "trust=3",
    )
} | {
    "rate of true": _of(TRAIN, "optimizer.lr=true", 2, "optimizer.lr", "True", "a number"),
    "decay of true": _of(TRAIN, "+optimizer.weight_decay=true", 2, "optimizer.weight_decay", "True"),
    "betas of true": _of(TRAIN, "optimizer=adam & +optimizer.betas=[true,0.9]", 2, "optimizer.betas", "True"),
    "eps of true in one lane": _of(COMPARE, "+lanes.right.optimizer.eps=true", 2, "optimizer", "True"),
    "gamma of true": _of(TRAIN, "objective=focal & objective.gamma=true", 2, "objective.gamma", "True"),
    "infinite rate": _of(TRAIN, "optimizer.lr=inf", 2, "optimizer.lr", "inf", "finite"),
    "rate below all numbers": _of(TRAIN, "optimizer.lr=-inf", 2, "optimizer.lr", "-inf"),
    "infinite rate in one lane": _of(COMPARE, "+lanes.right.optimizer.lr=inf", 2, "lanes.right.optimizer.lr", "inf"),
    "infinite betas": _of(TRAIN, "optimizer=adam & +optimizer.betas=[0.9,inf]", 2, "optimizer.betas[1]", "inf"),
    "steps beyond a count": _of(TRAIN, "steps=9223372036854775808", 2, "steps", "9,007,199,254,740,992"),
    "draws beyond a count": _of(ESTIMATE, "draws=9007199254740993", 2, "draws", "9,007,199,254,740,992"),
    "infinite patience": _of(TRAIN, "job_timeout=inf", 2, "job_timeout", "inf"),
    "rate below zero": _of(TRAIN, "optimizer.lr=-1", 2, "optimizer", "-1"),
    "rate of a list": _of(TRAIN, "optimizer.lr=[1]", 2, "optimizer"),
    "rate of a file": Bad(("train", *MINE, *TRAIN[1:], "optimizer=odd"), 2, ("optimizer.lr", "nan")),
    "no optimiser of torch": _of(TRAIN, "optimizer._target_=torch.optim.Nope", 2, "'torch.optim' has no 'Nope'"),
    "a layer for an optimiser": _of(TRAIN, "optimizer._target_=torch.nn.Linear", 2, "optimizer.lr"),
    "gamma below zero": _of(TRAIN, "objective=focal & objective.gamma=-1", 2, "objective.gamma", "-1"),
    "gamma of NaN": _of(TRAIN, "objective=focal & objective.gamma=nan", 2, "objective.gamma", "nan"),
    "classes for two": _of(TRAIN, "objective=cross_entropy", 2, "cross_entropy", "'binary'"),
    "counts for two": _of(TRAIN, "objective=poisson_nll", 2, "poisson_nll", "'binary'"),
    "autocast that does nothing": _of(COMPARE, "lanes.right.autocast=float64", 2, "autocast", "float64"),
    "autocast in float32": _of(COMPARE, "lanes.left.autocast=float32", 2, "autocast", "float32"),
}  # fmt: skip
DEVICES = {
    device: _of(TRAIN, f"device={device}", 2, "device", "'cpu'")
    for device in ("gpu", "cuda:99", "meta", "''", "xpu:7", "cpu:x")
}
FOLDERS = {
    "below a file": _of(TRAIN, "out=file/x", 5, "file/x", "cannot write"),
    "a file": _of(TRAIN, "out=file", 5, "is a file"),
    "a device": _of(TRAIN, "out=/dev/null", 5, "/dev/null"),
    "of the system": _of(TRAIN, "out=/proc/x", 5, "/proc/x", "cannot write"),
    "not empty": _of(TRAIN, "out=full", 5, "not empty", "overwrite=true"),
    "not a run": _of(TRAIN, "out=full & overwrite=true", 5, "not an mlnn run"),
    "of an audit": _of(("audit",), "out=full", 5, "not empty"),
    "of an estimate": _of(ESTIMATE, "out=file", 5, "is a file"),
    "no folder of configs": Bad(("train", "--config-dir", "nowhere", *TRAIN[1:]), 2, ("nowhere",)),
    "a page below a file": _of(("curves", "log.csv"), "page=file/x.html", 5, "page", "file/x.html"),
    "neither run nor log": _of(("curves", "full"), "", 3, "full", "no run folder and no log"),
    "no log": _of(("curves", "file"), "", 3, "file", "no log"),
    "no recording": _of(("diff", "full", "full"), "", 3, "recording.json"),
    "one recording": _of(("diff", "full"), "", 2, "1 given", "diff.py A B"),
    "no capsule": _of(("replay", "full"), "factory=own_parts:Net", 3, "capsule.json"),
    "no factory": _of(("replay", "full"), "", 2, "factory"),
    "nothing to lift": _of(("lift", "nowhere"), "", 3, "nowhere", "no such folder"),
}
WORDS = {
    words: _of(command, words, 2, named)
    for command, words, named in (
        (TRAIN, "stesp=3", "'steps'"),
        (TRAIN, "+x=1", "unknown key 'x'"),
        (TRAIN, "~steps", "steps"),
        (TRAIN, "--nope", "--nope"),
        (TRAIN, "x y", "x y"),
        (TRAIN, "\x1b[2J=3", r"\x1b[2J"),
        (TRAIN, "steps=${seed", "steps=${seed"),
        (TRAIN, "data=nope", "'nope'"),
        (TRAIN, "steps=${oc.env:HOME}", "resolver"),
        (TRAIN, "hydra.run.dir=x", "hydra.run.dir"),
        (TRAIN, "trust=[os.path]", "os.path"),
        (COMPARE, "lanes.left.outputs=x", "lanes.left.outputs"),
        (COMPARE, "lanes.left.accumulate=0", "lanes.left.accumulate"),
        (COMPARE, "lanes.right.mapping=x", "lanes.right.mapping"),
        (COMPARE, "lanes.right.prior=-1", "lanes.right.prior"),
        (COMPARE, "looks=99", "looks"),
        (COMPARE, "looks=x", "looks"),
        (COMPARE, "mode=vote", "'vote'"),
        (COMPARE, "engine=fast", "'fast'"),
        (COMPARE, "trace_every=0", "trace_every"),
        (COMPARE, "margin=nan", "margin"),
        (COMPARE, "domain=[nan,1]", "domain"),
        (COMPARE, "seeds=[]", "seeds"),
        (COMPARE, "left=3", "left"),
        (COMPARE, "left._target_=os.system", "'os.system'"),
        (ESTIMATE, "likelihood=bernouli", "'bernoulli'"),
        (ESTIMATE, "cov=HC9", "'HC9'"),
        (ESTIMATE, "cov=kernel", "kinks"),
        (ESTIMATE, "draws=1", "draws"),
        (ESTIMATE, "held_out=1", "held_out"),
        (ESTIMATE, "objective=hinge", "'hinge'"),
        (("audit",), "targets=real", "'real'"),
        (("audit",), "classes=1", "classes"),
        (("audit",), "require=yes", "'yes'"),
        (("audit",), "loss=own_parts", "my_module:my_loss"),
        (("audit",), "loss=own_parts:nope", "'nope'"),
        (("audit",), "loss=own_parts:fails", "ValueError: no"),
        (("audit",), "loss=own_parts:text", "returned str"),
        (("audit",), "loss=own_parts:wide", "(7, 7)"),
        (("audit",), "loss=own_parts:one", "TypeError"),
        (("audit",), "loss=os:system", "os.system"),
        (("audit_model",), "rows=0", "rows"),
        (("audit_model",), "model=nope", "'nope'"),
        (("curves", "log.csv"), "align=moon", "'moon'"),
        (("curves", "log.csv"), "smooth=1", "smooth"),
        (("growth",), "ladder=nope", "'nope'"),
        (("growth",), "ladder=3", "ladder=3"),
        (("growth",), "ladder={}", "architectures"),
        (("growth",), "ladder=[]", "architectures"),
        (("growth",), "ladder={a:[]}", "of this group one choice is needed"),
        (("growth",), "optimizer=[sgd]", "adamw"),
        (("growth",), "=3", "no key"),
        (TRAIN, "model=true", "model=true"),
        (TRAIN, "~=3", "no key"),
        (TRAIN, "model={depth:2}", "transformer"),
        (COMPARE, "lane@lanes.left=3", "plain"),
        (TRAIN, "data.seed=\udcff", "no UTF-8 text"),
        (TRAIN, "a\nb\n" * 40, "a\\x0ab"),
        (TRAIN, "a\x1b[2Jb", "a\\x1b[2Jb"),
        (("train", "-m"), "steps=range(1,99999999) # \n\n\n", "steps"),
        (("train", "-m"), "job_timeout=inf & seed=1,2", "job_timeout"),
        (("growth",), "seeds=[]", "seeds"),
        (("growth",), "jobs=x", "jobs"),
        (("estimator",), "passes=0", "passes"),
        (("beyond_one_node",), "seeds=[1,1]", "seeds"),
        (("train", "-m"), "jobs=0 & seed=1,2", "jobs"),
    )
} | {"a loss that ends the process": _of(("audit",), "loss=own_parts:ends", 4, "sys.exit(3)")}
BAD = {
    f"{what}: {name}": bad
    for what, some in {
        "data": DATA, "model": MODELS, "numbers": NUMERICS, "device": DEVICES, "folder": FOLDERS, "words": WORDS,
    }.items()
    for name, bad in some.items()
}  # fmt: skip
