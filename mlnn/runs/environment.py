"""What a run is repeatable in: versions, processor, threads and switches that change bits, and the commit.

Bitwise equality is promised in the same recorded environment only. Host and user names and paths stay out.
"""

import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlnn.runs.commit import commit

_mkldnn_is_there: Callable[[], bool] = torch.backends.mkldnn.is_available


def environment() -> dict[str, Any]:
    """The environment as JSON-ready values; an item that cannot be found out is None. Never raises."""
    probes: dict[str, Callable[[], Any]] = {
        "time": lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version,
        "mlnn": lambda: version("mlnn"),
        "torch": lambda: str(torch.__version__),
        "numpy": lambda: np.__version__,
        "platform": lambda: f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu,
        "cpu_capability": torch.backends.cpu.get_cpu_capability,
        "threads": torch.get_num_threads,
        "interop_threads": torch.get_num_interop_threads,
        "parallel_info": _parallel_info,
        "default_dtype": lambda: str(torch.get_default_dtype()),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled,
        "float32_matmul_precision": torch.get_float32_matmul_precision,
        "mkldnn": lambda: _mkldnn_is_there() and torch.backends.mkldnn.enabled,
        # Denormal numbers flushed to zero: a switch that torch sets but does not report.
        "flush_denormal": lambda: bool((torch.tensor(2.0**-1074, dtype=torch.float64) * 1).item() == 0),
        "git": commit,
    }
    return {name: _or_none(probe) for name, probe in probes.items()}


def _or_none(probe: Callable[[], Any]) -> Any:
    try:
        return probe()
    except Exception:  # a record of the surroundings must not end the run that it describes
        return None


def _cpu() -> str | None:
    """The processor's model name: from Linux's own list where there is one."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def _parallel_info() -> list[str]:
    return [line.strip() for line in torch.__config__.parallel_info().splitlines() if line.strip()]
