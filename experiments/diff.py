"""Are two recorded trainings the same? diff.py A B [require=equal] [page=FILE]"""

from mlnn.cli import main

if __name__ == "__main__":
    main("diff")
