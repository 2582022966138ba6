"""Is this network a maximum-likelihood estimate? A ladder of architectures, several seeds each, all on the same rows."""

from mlnn.cli import main

if __name__ == "__main__":
    main("beyond_one_node")
