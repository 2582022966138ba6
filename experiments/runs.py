"""What lies in a folder of runs, and is it whole? runs.py list|verify|show|clean [FOLDER …]"""

from mlnn.cli import main

if __name__ == "__main__":
    main("runs")
