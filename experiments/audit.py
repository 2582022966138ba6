"""Is exp(−loss) a likelihood? audit.py objective=… | loss=my_module:my_loss | experiment=catalogue"""

from mlnn.cli import main

if __name__ == "__main__":
    main("audit")
