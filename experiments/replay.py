"""Does this code still do a recorded step? replay.py CAPSULE factory=my_module:make [loss=my_module:my_loss]"""

from mlnn.cli import main

if __name__ == "__main__":
    main("replay")
