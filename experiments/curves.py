"""How do the loss curves of runs compare, stored ones and those in logs of other tools? curves.py RUN LOG … [page=FILE]"""

from mlnn.cli import main

if __name__ == "__main__":
    main("curves")
