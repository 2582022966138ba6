"""The classical maximum-likelihood estimate of a (generalised) linear model, or the reason why there is none."""

from mlnn.cli import main

if __name__ == "__main__":
    main("estimate")
