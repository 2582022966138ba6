"""Files that somebody sent: opened without being acted upon, plain files only, read no further than they say they go.

Everything here raises OSError, whose `strerror` is a phrase that goes after "cannot be read: ".
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mlnn.visible import shown, visible

CHUNK = 1 << 20
_SPECIAL = (
    (stat.S_ISDIR, errno.EISDIR, "it is a folder"),
    (stat.S_ISLNK, errno.ELOOP, "it is a link, and could lead anywhere"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a pipe, not a plain file"),
    (stat.S_ISSOCK, errno.EINVAL, "it is a socket, not a plain file"),
    (stat.S_ISCHR, errno.EINVAL, "it is a device, not a plain file"),
    (stat.S_ISBLK, errno.EINVAL, "it is a device, not a plain file"),
)
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|[a-z]:.*", re.IGNORECASE)


def open_plain(path: Path | str, follow: bool = True) -> BinaryIO:
    """A plain file, open to be read; a folder, device, pipe or socket is refused and never opened.

    `follow`: whether `path` itself may be a link.
    """
    try:
        _refuse_special(os.stat(path, follow_symlinks=follow))
        # Not blocking: what was a plain file a moment ago may be a pipe by now.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    except ValueError:
        raise OSError(errno.EINVAL, "its name holds a zero byte") from None
    try:
        _refuse_special(os.fstat(handle))
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def open_inside(folder: Path, name: str) -> BinaryIO:
    """The file `name` of a folder that somebody sent: nothing on the way to it is a link."""
    if not is_inside(name):
        raise OSError(errno.EINVAL, f"'{shown(name)}' is not the name of a file inside it")
    path = folder
    for part in name.split("/")[:-1]:
        path /= part
        if os.path.islink(path):
            raise OSError(errno.ELOOP, f"'{shown(part)}' is a link, and could lead anywhere")
    return open_plain(folder / name, follow=False)


def is_inside(name: object) -> bool:
    """Whether `name` is written `a/b.txt`: below the folder it is used in, on every system, with nothing hidden."""
    if not isinstance(name, str) or not 0 < len(name) <= 1024 or "\\" in name or visible(name, keep="") != name:
        return False
    parts = name.split("/")
    return all(
        part.strip(". ") and len(part.encode()) <= 255 and not _DEVICE.fullmatch(part) for part in parts
    )  # "", ".", ".." and their like on other systems


def size(file: BinaryIO) -> int:
    """Bytes that an open file says it holds."""
    return os.fstat(file.fileno()).st_size


def check_size(file: BinaryIO, most: int) -> None:
    """OSError where the file says that it holds more than `most` bytes."""
    if size(file) > most:
        raise OSError(errno.EFBIG, f"it holds more than {most:,} bytes: {size(file):,}")


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The content of an open file, piece by piece; OSError where it gives more than it says it holds (as devices do)."""
    left = size(file)
    while block := file.read(CHUNK) or b"":
        left -= len(block)
        if left < 0:
            raise OSError(errno.EINVAL, "it gives more than it says it holds, so it is no plain file")
        yield block


def _refuse_special(found: os.stat_result) -> None:
    for is_it, number, phrase in _SPECIAL:
        if is_it(found.st_mode):
            raise OSError(number, phrase)
