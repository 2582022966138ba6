"""What happens in somebody's own training loop: recorded, compared, done again, and its objective taken out."""

from mlnn.lifting.described import described
from mlnn.lifting.lifted import Lifted
from mlnn.recording.capsule import Capsule, read_capsule
from mlnn.recording.lift import lift, of_lifted
from mlnn.recording.reading import read_recording
from mlnn.recording.recorder import Recorder, record
from mlnn.recording.records import RecordedStep, Recording

__all__ = [
    "Capsule",
    "Lifted",
    "RecordedStep",
    "Recorder",
    "Recording",
    "described",
    "lift",
    "of_lifted",
    "read_capsule",
    "read_recording",
    "record",
]
