"""Is the loss of this model −log of a product over rows, and is its weight decay the prior it is said to be?"""

from mlnn.cli import main

if __name__ == "__main__":
    main("audit_model")
