"""What does a recorded training minimise? lift.py CAPSULE [target=labels] [targets=counts]"""

from mlnn.cli import main

if __name__ == "__main__":
    main("lift")
