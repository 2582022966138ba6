"""Names that somebody else chose, made safe to show: what could act on a terminal or turn text around is written out."""

import unicodedata

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that show nothing of their own: control, format (direction marks), surrogates, separators."""
LONGEST = 80
"""Characters of a name in a message; the middle of a longer one is left out."""


def visible(text: object, keep: str = "\n") -> str:
    """`text` with each hidden character as its escape (an escape code becomes `\\x1b`), except those in `keep`."""
    found = str(text)
    if found.isascii() and found.isprintable():
        return found
    return "".join(
        character if character in keep or unicodedata.category(character) not in HIDDEN else _escape(ord(character))
        for character in found
    )


def shown(name: object, most: int = LONGEST) -> str:
    """A name for a message: on one line, nothing hidden, at most about `most` characters."""
    text = name if isinstance(name, str) else _plain(name)
    return shorten(visible(text[: 4 * most] + text[-most:] if len(text) > 5 * most else text, keep=""), most)


def shorten(text: str, most: int) -> str:
    """`text` with its middle left out where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    return f"{text[: most - most // 4]} … {text[len(text) - most // 4 :]}"


def _plain(value: object) -> str:
    if isinstance(value, list | dict | tuple):
        # Not its repr: somebody may have nested it deeper than repr can follow.
        flat = len(value) <= 8 and not any(isinstance(item, list | dict | tuple) for item in value)
        return repr(value) if flat and not isinstance(value, dict) else f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a whole number of {value.bit_length():,} bits"
    return str(value)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
