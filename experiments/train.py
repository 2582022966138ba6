"""Train one model on one objective: a loss curve, a run folder."""

from mlnn.cli import main

if __name__ == "__main__":
    main("train")
