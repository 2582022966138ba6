"""How do the loss curves of stored runs compare? curves.py RUN RUN … [page=FILE]"""

from mlnn.cli import main

if __name__ == "__main__":
    main("curves")
