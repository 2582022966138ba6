"""Which optimiser reaches the maximum-likelihood estimate, to how many digits, in how many passes over the data?"""

from mlnn.cli import main

if __name__ == "__main__":
    main("estimator")
