"""Do two objectives train the same network? Many lanes in lockstep, a verdict, a run folder."""

from mlnn.cli import main

if __name__ == "__main__":
    main("compare")
