"""`python -m mlnn <command> …`: the same as the command `mlnn`."""

import os
import sys

if __name__ == "__main__":
    # For -m Python looks in the current folder first; what lies there is not to be imported in place of a library.
    if not sys.flags.safe_path and sys.path[:1] in ([""], [os.getcwd()]):
        del sys.path[0]
    from mlnn.cli import main

    main()
