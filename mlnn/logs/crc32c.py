"""The checksum of event files, of many records at once: CRC-32C (Castagnoli), masked as TensorFlow masks it."""

import numpy as np

_POLYNOMIAL = 0x82F63B78
_TOGETHER = 1 << 14  # records in one table of bytes
_FEW = 64  # of one length: fewer are faster one by one
_LONG, _STRIPS = 4096, 1024


def _make_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _make_table()
_LIST: list[int] = _TABLE.tolist()
_ONES = 0xFFFFFFFF


def masked_crc32c(data: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Masked checksums (n,) uint32 of the records `data[start : start + length]`; data (bytes,) uint8, start and length (n,)."""
    found = np.zeros(len(start), dtype=np.uint32)
    order = np.argsort(length, kind="stable")
    sizes, first = np.unique(length[order], return_index=True)
    for size, where in zip(sizes.tolist(), np.split(order, first[1:]), strict=False):
        if size > _LONG:
            found[where] = [_long(data[at : at + size]) for at in start[where].tolist()]
        elif len(where) < _FEW:
            found[where] = [_one(data[at : at + size].tobytes()) for at in start[where].tolist()]
        else:
            for part in np.array_split(where, -(-len(where) // _TOGETHER)):
                rows = data[start[part][:, None] + np.arange(size)]
                found[part] = _ONES ^ _through(rows, np.full(len(part), _ONES, dtype=np.uint32))
    masked: np.ndarray = ((found >> 15) | (found << 17)) + np.uint32(0xA282EAD8)
    return masked


def _through(rows: np.ndarray, register: np.ndarray) -> np.ndarray:
    """The register (n,) of each row after its bytes (n, width)."""
    for column in rows.T:
        register = _TABLE[(register ^ column) & 0xFF] ^ (register >> 8)
    return register


def _one(data: bytes) -> int:
    register = _ONES
    for byte in data:
        register = _LIST[(register ^ byte) & 0xFF] ^ (register >> 8)
    return _ONES ^ register


def _long(data: np.ndarray) -> int:
    """Of one long record, in strips that are joined afterwards: a register is linear in what has gone through it."""
    width = -(-len(data) // _STRIPS)
    strips = np.zeros(_STRIPS * width, dtype=np.uint8)  # zeros in front leave a register of zero as it is
    strips[len(strips) - len(data) :] = data
    strips[len(strips) - len(data) :][:4] ^= 0xFF  # which stands for a register that begins with ones
    parts = _through(strips.reshape(_STRIPS, width), np.zeros(_STRIPS, dtype=np.uint32))
    bytes_of = (np.arange(256, dtype=np.uint32)[None] << (8 * np.arange(4, dtype=np.uint32))[:, None]).ravel()
    shift = _through(np.zeros((1, width), dtype=np.uint8), bytes_of).reshape(4, 256).tolist()
    register = 0
    for part in parts.tolist():
        for place in range(4):
            part ^= shift[place][(register >> (8 * place)) & 0xFF]
        register = part
    return _ONES ^ register
