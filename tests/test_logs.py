"""Logs of other tools: every format is told from what a file holds, and read as it was written, in its order."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from log_cases import FORMATS, LOSSES, STEPS, events, field, record, scalar, write_all

from mlnn.errors import ConfigError, DataError
from mlnn.logs import Log, crc32c, read_log
from mlnn.logs.crc32c import masked_crc32c

REAL = Path(__file__).parent / "tensorboard"
EVENTS = REAL / "events.out.tfevents.1700000000.host.1.0"


def text(path: Path, told: str) -> Log:
    path.write_text(told, encoding="utf-8")
    return read_log(path)


def values(log: Log, name: str = "loss") -> list[tuple[int, float]]:
    series = log.series[name]
    return list(zip(series.step.tolist(), series.value.tolist(), strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_a_curve_is_the_same_in_every_format_whatever_its_file_is_called(tmp_path: Path, name: str) -> None:
    write_all(tmp_path)
    shutil.move(tmp_path / name, tmp_path / "x")
    log = read_log(tmp_path / "x")
    assert log.kind == FORMATS[name]
    [loss] = [one for one in log.series if one.endswith("loss")]
    assert values(log, loss) == list(zip(STEPS, LOSSES, strict=True))


def test_event_files_are_read_as_tensorboard_reads_them() -> None:
    """A file by torch's SummaryWriter (both styles of scalar, a histogram, a text, a step that falls), read by EventAccumulator."""
    expected = json.loads((REAL / "as_tensorboard_reads_it.json").read_text(encoding="utf-8"))
    log = read_log(EVENTS)
    assert log.series.keys() == expected.keys()
    for tag, points in expected.items():
        found = log.series[tag]
        np.testing.assert_array_equal(np.array(points), np.stack([found.step, found.wall, found.value], 1))
    assert log.series["train/loss"].segments == [slice(0, 14), slice(14, 15)]


def test_an_event_may_be_written_in_any_order_and_hold_several_values(tmp_path: Path) -> None:
    one, two = (field(1, b"\x15\x00\x00\x80?" + field(1, tag)) for tag in (b"a", b"b"))
    (tmp_path / "x").write_bytes(events() + record(field(5, one + two) + b"\x10\x07"))
    log = read_log(tmp_path / "x")
    assert (values(log, "a"), values(log, "b")) == ([(7, 1.0)], [(7, 1.0)])
    assert math.isnan(log.series["a"].wall[0])


def test_the_checksum_is_crc32c() -> None:
    """Its check value is that of the catalogue of CRCs; long records, many of one length, and few go three ways to it."""
    data = np.frombuffer(b"123456789" * 2000, np.uint8)
    assert (
        masked_crc32c(data, np.array([0]), np.array([9]))[0]
        == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) % 2**32
    )
    length = np.array([0, 1, 9, *[5] * 100, 4095, 4096, 4097, 9999])
    start = np.arange(len(length)) * 7
    alone = [
        masked_crc32c(data[at : at + size], np.array([0]), np.array([size]))[0]
        for at, size in zip(start, length, strict=True)
    ]
    assert masked_crc32c(data, start, length).tolist() == alone


def test_a_long_record_has_the_checksum_that_it_has_byte_by_byte() -> None:
    data = np.random.default_rng(0).integers(0, 256, 9000, dtype=np.uint8)
    for size in (4, 1023, 1024, 1025, 9000):
        assert crc32c._long(data[:size]) == crc32c._one(data[:size].tobytes())


def test_event_files_of_a_folder_are_one_log_in_the_order_in_which_they_were_begun(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(events([20, 30], [3.0, 4.0], wall=1.8e9))
    (tmp_path / "b").write_bytes(events([10, 20], [1.0, 2.0], wall=1.7e9))
    (tmp_path / "hparams.yaml").write_text("lr: 0.1\n", encoding="utf-8")
    (tmp_path / "metrics.csv").write_text("step,loss\n1,2\n", encoding="utf-8")
    log = read_log(tmp_path)
    assert values(log) == [(10, 1.0), (20, 2.0), (20, 3.0), (30, 4.0)]
    assert any("metrics.csv, not read" in note for note in log.notes)


def test_blank_cells_are_no_points_and_words_for_what_is_not_finite_are_numbers(tmp_path: Path) -> None:
    log = text(
        tmp_path / "x", "epoch,step,train_loss,val_loss\n0,0,nan,\n0,1,,0.5\n\n0,2,inf,None\n1,3,-Infinity,NaN\n"
    )
    assert [step for step, _ in values(log, "train_loss")] == [0, 2, 3]
    assert [str(value) for _, value in values(log, "train_loss")] == ["nan", "inf", "-inf"]
    assert [str(value) for _, value in values(log, "val_loss")] == ["0.5", "nan"]


def test_bare_words_in_json_are_numbers(tmp_path: Path) -> None:
    log = text(
        tmp_path / "x",
        '{"step": 0, "loss": NaN}\n{"step": 1, "loss": -Infinity}\n{"step": 2, "loss": "inf"}\n{"step": 3}\n',
    )
    assert [str(value) for _, value in values(log)] == ["nan", "-inf", "inf"]


def test_a_step_that_falls_starts_a_segment_and_nothing_is_sorted(tmp_path: Path) -> None:
    log = text(tmp_path / "x", "step,loss\n5,1\n6,2\n6,3\n4,4\n5,5\n")
    assert values(log) == [(5, 1.0), (6, 2.0), (6, 3.0), (4, 4.0), (5, 5.0)]
    assert log.series["loss"].segments == [slice(0, 3), slice(3, 5)]


def test_logs_joined_end_to_end_are_read_past_the_second_header(tmp_path: Path) -> None:
    assert values(text(tmp_path / "x", "step,loss\n5,1\nstep,loss\n4,2\n")) == [(5, 1.0), (4, 2.0)]


@pytest.mark.parametrize(
    ("told", "points", "note"),
    [
        ("step,loss\n1,2\n2", 1, "last line, 3, is cut off"),
        ("step,loss\n1,2\n2,0.1", 2, "a last number may be cut off"),
        ('{"step": 1, "loss": 2}\n{"step": 2, "lo', 1, "last line, 2, is cut off"),
        ('{"step": 1, "loss": 2}\n{"step": 2, "loss": 3}', 2, None),
        ("step,loss\n,5\n1,2\n", 1, "1 rows without a step"),
        ('{"config": {"lr": 1}}\n{"step": 1, "loss": 2}\n', 1, "1 records without a step"),
        ("step,loss\n1,2\n2,1.7976931348623157e308\n", 2, "as MLflow writes an infinity"),
        ("step,loss\n1,2\n2,oops\n", 1, "column 'loss' has 1 cells that are no numbers"),
        ('{"log_history": [{"step": 1, "loss": 2}], "logging_steps": 500}', 1, "a mean over 500 steps"),
    ],
)
def test_what_was_left_out_or_may_mislead_is_said(tmp_path: Path, told: str, points: int, note: str | None) -> None:
    log = text(tmp_path / "x", told)
    assert len(log.series["loss"].step) == points
    assert len(log.notes) == (note is not None)
    assert note is None or note in log.notes[0]


def test_an_event_file_that_is_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    whole = events()
    for cut in (1, 4, 5, 20, len(record(scalar("loss", STEPS[-1], LOSSES[-1]))) - 1):
        (tmp_path / "x").write_bytes(whole[:-cut])
        log = read_log(tmp_path / "x")
        assert values(log) == list(zip(STEPS, LOSSES, strict=True))[:-1]
        assert any("the last record of x, 5, is cut off" in note for note in log.notes)


def test_the_step_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("sample,loss\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"no log that is read.*step=… names another column"):
        read_log(path)
    assert values(read_log(path, step="sample")) == [(1, 2.0)]
    path.write_text("epoch,step,loss\n1,2,3\n", encoding="utf-8")
    assert values(read_log(path)) == [(2, 3.0)]
    assert values(read_log(path, step="epoch")) == [(1, 3.0)]
    with pytest.raises(ConfigError, match=r"step: unknown column 'epohc'\. Did you mean 'epoch'"):
        read_log(path, step="epohc")


def test_times_and_tokens_go_with_the_points(tmp_path: Path) -> None:
    log = text(
        tmp_path / "x",
        "step,loss,timestamp,train/tokens\n1,3,1700000000000,100\n2,2,1700000001000,\n1,1,1700000002000,150\n",
    )
    loss = log.series["loss"]
    assert loss.wall.tolist() == [1.7e9, 1.7e9 + 1, 1.7e9 + 2]
    np.testing.assert_array_equal(loss.tokens, [100, math.nan, 150])
    log = text(tmp_path / "x", '{"step": 1, "loss": 2, "time": "2026-01-01T00:00:01+00:00"}\n')
    assert log.series["loss"].wall.tolist() == [1767225601.0]


def test_nested_records_get_names_with_a_slash(tmp_path: Path) -> None:
    log = text(tmp_path / "x", '{"step": 1, "train": {"loss": 2, "who": "me"}, "ok": true, "all": [1]}\n')
    assert list(log.series) == ["train/loss"]
