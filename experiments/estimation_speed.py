"""How long does a logistic regression with standard errors take, beside the packages that people use?"""

from mlnn.cli import main

if __name__ == "__main__":
    main("estimation_speed")
