"""Trainings of two processes by other people's trainers: run by tests/test_integrations.py in processes of their own."""

import os
import sys
from pathlib import Path

import torch
from test_integrations import Tokens, accelerated, fit, trainer

from mlnn.integrations.lightning import Record
from mlnn.integrations.transformers import RecordCallback


def main(rank: str, out: str, port: str) -> None:
    """What each process does; its environment is that of torchrun."""
    os.environ |= {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "none",
        "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    torch.set_num_threads(1)
    folder = Path(out)
    for kind in ("automatic", "parts"):
        fit(kind, devices=2)(Record(folder / kind, capsules=()))
    accelerated(1)(folder / "accelerate")
    torch.manual_seed(0)
    trainer(Tokens(), folder, 8, 1, [RecordCallback(folder / "transformers", capsules=())]).train()


if __name__ == "__main__":
    main(*sys.argv[1:])
