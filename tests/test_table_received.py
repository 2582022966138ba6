"""Tables that somebody sent: how large they are is known before they are read, what is no file is never opened."""

import gzip
import io
import json
import os
import socket
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlnn.data import table, table_size
from mlnn.data.table_size import Gunzip, count_fields
from mlnn.errors import ConfigError, DataError

GOOD = "a,b,y\n" + "".join(f"{k},{k % 3},{k % 2}\n" for k in range(40))


def refused(path: object, match: str, seconds: float = 5.0, **limits: Any) -> str:
    """The error of reading it: short, printable, soon, and without much memory."""
    started = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=match) as caught:
            table(path=path, target="y", **limits)  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < seconds
    assert peak < 200_000_000
    message = str(caught.value)
    assert len(message) < 700
    assert all(character == "\n" or character.isprintable() for character in message)
    return message


def packed(path: Path, *parts: bytes) -> Path:
    """A gzip file whose content is these parts, each packed on its own, most of them very well."""
    path.write_bytes(b"".join(gzip.compress(part, 9) for part in parts))
    return path


BOMBS = {
    # name → (content in parts, limit that meets it, key that raises it)
    "rows": ([b"a,y\n", *[b"1,0\n" * 10**6] * 11], "more than 10,000,000 rows", "data.most_rows"),
    "blank lines": ([b"a,y\n", *[b"\n" * 10**7] * 2], "more than 10,000,000 rows", "data.most_rows"),
    "old line breaks": ([b"a,y\r", *[b"1,0\r" * 10**6] * 11], "more than 10,000,000 rows", "data.most_rows"),
    "columns": (
        [",".join(f"c{k}" for k in range(10**5)).encode() + b"\n"],
        "more than 10,000 columns",
        "data.most_columns",
    ),
    "commas": ([b"," * 5 * 10**6 + b"\n"], "more than 10,000 columns", "data.most_columns"),
    "one cell": ([b"a,y\n1,", b"x" * 10**8, b"\n"], "line of more than 10,000,000 bytes", "data.most_columns"),
    "a quoted cell": ([b'a,y\n1,"', b"x" * 10**8, b'"\n'], "line of more than 10,000,000 bytes", "data.most_columns"),
    "header": ([b"h" * 10**8], "line of more than 10,000,000 bytes", "data.most_columns"),
    "quoted header": (
        [b'"' + b"h,\n" * 10**5 + b'"' + b",c" * 10**5 + b"\n"],
        "more than 10,000 columns",
        "data.most_columns",
    ),
    "wide and long": ([b",c" * 9000 + b"\n", *[b"1\n" * 10**6] * 3], "bytes of numbers", "data.most_bytes"),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_that_unpacks_to_a_large_table(tmp_path: Path, kind: str) -> None:
    parts, match, key = BOMBS[kind]
    path = packed(tmp_path / "bomb.csv.gz", *parts)
    assert path.stat().st_size < 10**6
    assert key in refused(path, match)


def test_a_long_text_is_not_unpacked_to_their_end(tmp_path: Path) -> None:
    line = b"1" * 99_999 + b"\n"
    path = packed(tmp_path / "bomb.csv.gz", b"a,y\n", *[line * 100] * 3)
    message = refused(path, "more than 20,000,000 bytes of text", most_bytes=20_000_000)
    assert "data.most_bytes=…" in message


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_limits_lie_exactly_where_they_are_said_to_be(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"good.{suffix}"
    frame = pd.read_csv(io.StringIO(GOOD))
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    whole = table(path=path, target="y", most_rows=40, most_columns=3, most_bytes=10_000)
    assert len(whole) + len(whole.x_held_out) == 40
    spare = 0 if suffix == "parquet" else 1  # lines are counted, not yet rows
    with pytest.raises(DataError, match=rf"more than {39 - spare} rows.*data\.most_rows="):
        table(path=path, target="y", most_rows=39 - spare)
    with pytest.raises(DataError, match=r"more than 2 columns.*data\.most_columns="):
        table(path=path, target="y", most_columns=2)
    with pytest.raises(DataError, match=r"more than 90 bytes.*data\.most_bytes="):
        table(path=path, target="y", most_bytes=90)
    with pytest.raises(DataError, match=r"more than \d+ bytes"):
        table(path=path, target="y", most_bytes=40 * 3 * 8 - 1)


@pytest.mark.parametrize("key", ["most_rows", "most_columns", "most_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "many", None, float("inf"), [1]])
def test_a_limit_is_a_whole_number(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    with pytest.raises(ConfigError, match=rf"data\.{key}: must be a whole number"):
        table(path=tmp_path / "good.csv", target="y", **{key: value})  # type: ignore[arg-type]


def test_what_was_read_before_is_read_the_same(tmp_path: Path) -> None:
    """Quotes, byte order marks, odd line breaks and several packed parts: as pandas itself reads the file by name."""
    texts = {
        "marked": "\ufeffa,y\n1,0\n2,1\n",
        "breaks": "a,y\r\n1,0\r\n2,1\r\n",
        "quoted": '"a","y"\n"1","0"\n2,1\n',
        "blank": "\n\na,y\n1,0\n\n2,1\n\n",
        "inch": 'a 5" pipe,y\n1,0\n2,1\n',
        "text": 'a,b,y\n1,"x\ny",0\n2,"z,""w""",1\n',
        "open end": "a,y\n1,0\n2,1",
        "exact": "a,y\n0.1,0\n1e-310,1\n",
    }
    for name, text in texts.items():
        plain, small = tmp_path / f"{name}.csv", tmp_path / f"{name}.CSV.GZ"
        plain.write_text(text, newline="", encoding="utf-8")
        content = text.encode()
        small.write_bytes(gzip.compress(content[:5]) + b"\0" * 7 + gzip.compress(content[5:]) + b"\0" * 7)
        frame = pd.read_csv(plain, index_col=False)
        column = frame.columns[0]
        for path in (plain, small):
            data = table(path=path, target="y", features=column, held_out=0, standardize=False)
            np.testing.assert_array_equal(data.x[:, 0].numpy(), frame[column].to_numpy(dtype=float))
        assert count_fields(content, 9) == len(frame.columns)


@pytest.mark.parametrize(
    "head", ['"', '"' * 1001, '"a""b"c,d', ",", "a", "", "\n", '"a\n"\n', "x" * 10**5, '""' * 10**6]
)
def test_fields_of_an_odd_header_are_counted_as_pandas_counts(head: str) -> None:
    started = time.perf_counter()
    try:
        wanted = len(pd.read_csv(io.StringIO(head), nrows=0).columns)
    except ValueError:
        wanted = 1
    assert count_fields(head.encode(), 50) == wanted
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("cut", [1, 5, 12, 30, -9, -1])
def test_a_packed_file_that_is_cut_off_or_damaged(tmp_path: Path, cut: int) -> None:
    content = gzip.compress(GOOD.encode())
    (tmp_path / "cut.csv.gz").write_bytes(content[:cut])
    refused(tmp_path / "cut.csv.gz", "cannot be read as CSV: the compressed file is cut off")
    damaged = bytearray(content)
    damaged[cut] ^= 255
    (tmp_path / "damaged.csv.gz").write_bytes(bytes(damaged))
    if cut != 5:  # the time it was packed at
        refused(tmp_path / "damaged.csv.gz", "cannot be read as CSV")
    (tmp_path / "followed.csv.gz").write_bytes(content + b"not packed")
    refused(tmp_path / "followed.csv.gz", "cannot be read as CSV")


def test_a_packed_file_with_a_long_name_or_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_size, "MOST_MEMBERS", 1000)
    named = b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"n" * 10**7  # the name of the file inside never ends
    (tmp_path / "named.csv.gz").write_bytes(named)
    refused(tmp_path / "named.csv.gz", "cut off")
    (tmp_path / "parts.csv.gz").write_bytes(gzip.compress(b"") * 1_001)
    refused(tmp_path / "parts.csv.gz", "more than 1,000 parts")
    assert io.BufferedReader(Gunzip(io.BytesIO(gzip.compress(b"") * 9 + gzip.compress(b"x")))).read() == b"x"
    assert zlib.decompress(gzip.compress(b"x"), wbits=31) == b"x"


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def repeated(value: Any, rows: int) -> Any:
    """One value that many times, stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([value]))


def test_a_small_parquet_file_of_very_many_rows(tmp_path: Path) -> None:
    path, chunk = tmp_path / "rows.parquet", pa.table({"a": repeated(1.0, 10**6), "y": repeated(0, 10**6)})
    with pq.ParquetWriter(path, chunk.schema, compression="zstd") as writer:
        for _ in range(12):
            writer.write_table(chunk)
    assert path.stat().st_size < 1_000_000
    message = refused(path, "more than 10,000,000 rows", seconds=1)
    assert "data.most_rows=…" in message
    refused(path, r"bytes of numbers \(12,000,000 rows of 2\)", seconds=1, most_rows=10**9, most_bytes=10**8)


def test_a_parquet_file_of_very_many_columns(tmp_path: Path) -> None:
    path = parquet(tmp_path / "wide.parquet", {f"c{k}": [0.0] for k in range(900)})
    refused(path, "more than 800 columns", most_columns=800)
    data = (
        table(path=path, target="c0", targets="real", most_columns=12_000, held_out=0, standardize=False)
        if False
        else None
    )
    assert data is None


def test_one_long_text_that_many_rows_point_to(tmp_path: Path) -> None:
    path = parquet(tmp_path / "text.parquet", {"a": repeated("x" * 10**5, 10**5), "y": [0, 1] * 50_000})
    assert path.stat().st_size < 10**6
    message = refused(path, "more than 2,000,000,000 bytes of text")  # 10¹⁰ letters
    assert "data.most_bytes" in message
    struct = pa.StructArray.from_arrays([repeated("x" * 10**5, 500).dictionary_decode()], ["s"])
    path = parquet(tmp_path / "struct.parquet", {"a": struct, "y": [0, 1] * 250})
    refused(path, "more than 10,000,000 bytes of text", most_bytes=10**7)


def test_lists_of_texts_are_refused_and_long_lists_counted(tmp_path: Path) -> None:
    texts = parquet(tmp_path / "texts.parquet", {"a": [["x"], ["y"]], "y": [0, 1]})
    refused(texts, r"column 'a\.\w+\.\w+' holds lists of texts")
    numbers = parquet(tmp_path / "lists.parquet", {"a": [[0] * 10**6, []], "y": [0, 1]})
    refused(numbers, "more than 1,000,000 bytes of columns", most_bytes=10**6)


def test_ordinary_texts_in_parquet_are_read(tmp_path: Path) -> None:
    columns = {"a.b": [0.5, 1.5, 2.5], "note": ["x", None, "z"], "bytes": [b"1", b"2", None], "y": ["no", "yes", "no"]}
    path = parquet(tmp_path / "good.parquet", columns)
    data = table(path=path, target="y", positive="yes", features="a.b", held_out=0, standardize=False)
    assert data.x[:, 0].tolist() == [0.5, 1.5, 2.5]
    assert data.y.tolist() == [0, 1, 0]
    large = pa.table({"a": [1.0, 2.0], "t": pa.array(["x", "y"], pa.large_string()), "y": [0, 1]})
    pq.write_table(large, tmp_path / "large.parquet")
    assert len(table(path=tmp_path / "large.parquet", target="y", features="a", held_out=0)) == 2


def damaged_parquet(path: Path, kind: str) -> Path:
    parquet(path, {"a": [1.0, 2.0], "y": [0, 1]})
    content = path.read_bytes()
    changed = {
        "empty": b"",
        "magic": b"PAR1PAR1",
        "footer length": content[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1",
        "footer": content[:-60] + b"\xff" * 52 + content[-8:],
        "pages": content[:4] + b"\xff" * 40 + content[44:],
        "cut": content[: len(content) // 2],
        "short": b"PAR",
    }
    path.write_bytes(changed[kind])
    return path


@pytest.mark.parametrize("kind", ["empty", "magic", "footer length", "footer", "pages", "cut", "short"])
def test_a_damaged_parquet_file(tmp_path: Path, kind: str) -> None:
    refused(damaged_parquet(tmp_path / "x.parquet", kind), "cannot be read as Parquet")


@pytest.mark.parametrize(
    "note", ["[" * 10**5, "{}", '{"columns": 3}', "\x1b[2J", '{"index_columns": [{"kind": "range"}]}']
)
def test_a_note_for_pandas_that_nobody_wrote(tmp_path: Path, note: str) -> None:
    made = pa.table({"a": [1.0, 2.0], "y": [0, 1]}).replace_schema_metadata({"pandas": note, "PANDAS_ATTRS": note})
    pq.write_table(made, tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet", "cannot be read as Parquet")


def make_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path has to be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL = {
    "pipe": (os.mkfifo, "it is a pipe"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    "random": (lambda path: path.symlink_to("/dev/urandom"), "it is a device"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "it is a device|no file"),
    "socket": (make_socket, "it is a socket"),
    "folder": (lambda path: path.mkdir(), "it is a folder"),
    "loop": (lambda path: path.symlink_to(path.name), "cannot be read"),
    "dangling": (lambda path: path.symlink_to("nothing"), "there is no file"),
    "endless": (lambda path: path.symlink_to("/proc/self/pagemap"), "gives more than it says|cannot be read"),
    "measured": (lambda path: path.symlink_to("/proc/cpuinfo"), "gives more than it says|cannot be read"),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_what_is_no_plain_file_is_never_read(tmp_path: Path, kind: str, suffix: str) -> None:
    make, match = SPECIAL[kind]
    make(tmp_path / f"x.{suffix}")
    refused(tmp_path / f"x.{suffix}", match)


def test_a_link_to_a_plain_table_of_ones_own_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "link.csv").symlink_to(tmp_path / "good.csv")
    assert table(path=tmp_path / "link.csv", target="y").features == ("a", "b")


NAMES = [
    "http://127.0.0.1:9/x.csv",
    "https://host/x.parquet",
    "s3://bucket/x.parquet",
    "file:///etc/passwd.csv",
    "memory://x.csv",
    "zip://x.csv::http://host/a.zip",
    "-",
    "",
    "~nobody-of-that-name/x.csv",
    "x\x00.csv",
    "x.csv\x00",
    "x\n\x1b[2J.csv",
    "x\u202evsc.csv",
    "x" * 5000 + ".csv",
    "x.csv/",
    "x.xlsx",
    3,
    None,
    b"x.csv",
    ["x.csv"],
    True,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: object) -> None:
    monkeypatch.chdir(tmp_path)
    refused(name, "data.path: ")


def test_a_folder_named_like_an_address_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pandas takes `http:/host/x.csv` for an address; it is given an open file, and asks nobody."""
    monkeypatch.chdir(tmp_path)

    def ask(*_: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    monkeypatch.setattr(socket, "create_connection", ask)
    for folder in ("http:", "s3:"):
        Path(folder).mkdir()
        Path(folder, "x.csv").write_text(GOOD)
        assert len(table(path=f"{folder}/x.csv", target="y", held_out=0)) == 40
        with Path(folder, "x.parquet").open("wb") as file:
            pq.write_table(pa.table(pd.read_csv(io.StringIO(GOOD))), file)
        assert len(table(path=f"{folder}/x.parquet", target="y", held_out=0)) == 40


EVIL = "a\x1b[2J\n\u202e"
SHOWN = "a\\x1b[2J\\x0a\\u202e"


@pytest.mark.parametrize(
    ("columns", "arguments"),
    [
        ({EVIL: [1, None, 3], "y": [0, 1, 0]}, {}),
        ({EVIL: ["u", "v", "w"], "y": [0, 1, 0]}, {}),
        ({EVIL: [1, np.inf, 3], "y": [0, 1, 0]}, {}),
        ({EVIL: [0, 1, None], "b": [1, 2, 3]}, {"target": EVIL}),
        ({EVIL: ["u", "v", "u"], "b": [1, 2, 3]}, {"target": EVIL}),
        ({EVIL: [5, 5, 5], "b": [1, 2, 3]}, {"target": EVIL}),
        ({EVIL: [0, 1, 2], "b": [1, 2, 3]}, {"target": EVIL}),
        ({EVIL: [0, 1, 5], "b": [1, 2, 3]}, {"target": EVIL, "targets": "binary"}),
        ({EVIL: ["u", "u", "u"], "b": [1, 2, 3]}, {"target": EVIL}),
        ({EVIL: ["u", "v", "w"], "b": [1, 2, 3]}, {"target": EVIL, "positive": "u"}),
        ({EVIL: [1, 2, 3], "y": [0, 1, 0]}, {"features": ["c"]}),
        ({"a": [1, 2, 3], "y": [0, 1, 0]}, {"features": [EVIL]}),
        ({EVIL: [1, 2, 3], "y": [0, 1, 0]}, {"target": "z"}),
        ({"a": [1, 2, 3], "y": [0, 1, 0]}, {"target": EVIL}),
        ({EVIL: [1, 2, 3], "y": [0, 1, 0]}, {"features": [EVIL, EVIL]}),
        ({EVIL: [1, 2, 3]}, {"target": EVIL, "features": [EVIL]}),
        ({EVIL: [1, 2, 3]}, {"target": EVIL}),
    ],
    ids=range(17),
)
def test_the_name_of_a_column_is_shown_escaped_in_every_message(
    tmp_path: Path, columns: dict[str, list[Any]], arguments: dict[str, Any]
) -> None:
    pd.DataFrame(columns).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises((DataError, ConfigError)) as caught:
        table(path=tmp_path / "x.csv", **({"target": "y"} | arguments))
    message = str(caught.value)
    assert SHOWN in message or "named twice" in message
    assert message.isprintable()


@pytest.mark.parametrize("cell", ["v" * 10**6, "v\x1b[2J\u202e\nw", "[red]v[/]"])
def test_a_cell_and_a_label_are_shown_short_and_escaped(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "x.csv"
    pd.DataFrame({"a": [1, cell, 3], "y": [0, 1, 0]}).to_csv(path, index=False)
    refused(path, "row 2 after the header, column 'a' is 'v|row 2 .* is '.red")
    for labels, arguments in (([cell, "u", "w"], {"positive": "u"}), ([cell, "u", "u"], {}), ([cell] * 3, {})):
        pd.DataFrame({"a": [1, 2, 3], "y": labels}).to_csv(path, index=False)
        assert "x1b" in refused(path, "target 'y'", **arguments) or "\x1b" not in cell


def test_names_that_pass_are_shown_escaped_from_there_on(tmp_path: Path) -> None:
    path = tmp_path / "x\x1b[2J.csv"
    pd.DataFrame({EVIL: [1.0, 2.0, 4.0], "long" * 10**5: [1.0, 5.0, 2.0], "y": [0, 1, 0]}).to_csv(path, index=False)
    data = table(path=path, target="y", held_out=0)
    assert data.features[0] == SHOWN
    assert len(data.features[1]) < 1100
    assert data.name == "x\\x1b[2J"
    assert json.dumps(data.to_dict()["features"]).isprintable()


def test_text_classes_of_very_different_lengths_take_no_more_room_than_their_text(tmp_path: Path) -> None:
    """An array of texts would give each of them the room of the longest: 20,000 times 4 MB here."""
    path = tmp_path / "x.csv"
    labels = ["u" * 10**6, "v", "w"] + ["v", "w"] * 10_000
    pd.DataFrame({"a": range(len(labels)), "y": labels}).to_csv(path, index=False)
    tracemalloc.start()
    data = table(path=path, target="y", held_out=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(data.targets) == "classes(3)"
    assert peak < 100_000_000


@pytest.mark.parametrize("formula", ["y ~ a + C(o)", "y ~ o", "o ~ a", "y ~ a:o"])
@pytest.mark.parametrize("held", [{"system": 1}, [1, 2]], ids=["records", "lists"])
def test_a_column_of_records_or_lists_is_no_levels(formula: str, held: object, tmp_path: Path) -> None:
    path = tmp_path / "nested.parquet"
    pd.DataFrame({"y": [0, 1] * 6, "a": range(12), "o": [held] * 12}).to_parquet(path)
    with pytest.raises(DataError, match=r"column 'o' holds .*numbers or text are needed"):
        table(path=path, formula=formula)
