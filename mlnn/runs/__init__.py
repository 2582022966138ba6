"""Run folders: the only code that reads or writes one."""

from mlnn.runs.files import csv_text, to_json, write_file
from mlnn.runs.hashed import hashed_json, is_older, read_hashed
from mlnn.runs.reading import CHECKSUMS, Run, damage, read_json, read_run, read_table, read_trace
from mlnn.runs.study import Study, open_study
from mlnn.runs.writing import RunFolder, TraceWriter, check_free, disk, new_run, unused

__all__ = [
    "CHECKSUMS",
    "Run",
    "RunFolder",
    "Study",
    "TraceWriter",
    "check_free",
    "csv_text",
    "damage",
    "disk",
    "hashed_json",
    "is_older",
    "new_run",
    "open_study",
    "read_hashed",
    "read_json",
    "read_run",
    "read_table",
    "read_trace",
    "to_json",
    "unused",
    "write_file",
]
