"""How do two equal objectives drift apart as the architecture grows? A ladder of models, several seeds each."""

from mlnn.cli import main

if __name__ == "__main__":
    main("growth")
