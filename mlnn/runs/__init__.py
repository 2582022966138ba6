"""Run folders: the only code that reads or writes one."""

from mlnn.runs.reading import CHECKSUMS, Run, read_run, read_trace
from mlnn.runs.writing import RunFolder, TraceWriter, check_free, new_run

__all__ = ["CHECKSUMS", "Run", "RunFolder", "TraceWriter", "check_free", "new_run", "read_run", "read_trace"]
