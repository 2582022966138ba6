"""What experiments/benchmarks/crash.py does to runs: the operations on the disk, the runs, and what has to hold of them."""
