"""Names that somebody else chose, made safe to show: what could act on a terminal or turn text around is written out."""

import unicodedata

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that show nothing of their own: control, format (direction marks), surrogates, separators."""


def visible(text: object, keep: str = "\n") -> str:
    """`text` with each hidden character as its escape (an escape code becomes `\\x1b`), except those in `keep`."""
    return "".join(
        character if character in keep or unicodedata.category(character) not in HIDDEN else _escape(ord(character))
        for character in str(text)
    )


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
