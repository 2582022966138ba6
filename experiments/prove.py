"""Are two losses equal on paper? prove.py objective@left=… objective@right=… | loss=my_module:my_loss [targets=real]"""

from mlnn.cli import main

if __name__ == "__main__":
    main("prove")
