"""Could the verdict be wrong? Pairs known to be equal, and pairs known to be faulty, judged by mlnn and by tolerances."""

from mlnn.cli import main

if __name__ == "__main__":
    main("verdict_benchmark")
