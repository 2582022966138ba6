"""What stands in a hostile file where something else belongs. Every value is JSON as it is written, so that what no honest writer
makes, NaN or a key that is there twice, can be written too."""

import json

from fuzzing.watch import CANARY

SECRET = "../secret"
"""A path out of the folder that is read, to a file that nobody is to open."""
MARK = f"</script><script>{CANARY}()</script>"
"""What a page would run, were it not written as text."""


def _texts() -> dict[str, str]:
    return {
        "words": "some words",
        "empty": "",
        "climb": SECRET,
        "absolute": "/etc/hostname",
        "device": "/dev/zero",
        "address": f"http://127.0.0.1:9/{CANARY}",
        "escape": "\x1b[2J\x1b]0;x\x07\r\x00",
        "turned": "a\u202eb\u2066c\u2028d",
        "markup": MARK,
        "long": "x" * 100_000,
        "lines": "a\nb\n" * 2000,
        "target": f"{CANARY}.make",
        "code": f"__import__('{CANARY}').make()",
        "nan word": "nan",
        "inf word": "-inf",
        "number word": "1e999",
        "whole word": "-7",
        "digits": "9" * 6000,
        "resolver": "${oc.env:HOME}",
        "itself": "${steps}",
        "formula": "y ~ a",
        "braces": "{0.__class__}%s%n$(touch x)`touch x`",
    }


VALUES = {name: json.dumps(text) for name, text in _texts().items()} | {
    "null": "null",
    "true": "true",
    "zero": "0",
    "one": "1",
    "minus zero": "-0.0",
    "negative": "-1",
    "fraction": "0.3",
    "tiny": "5e-324",
    "large": "1e308",
    "beyond": "1e999",
    "NaN": "NaN",
    "infinite": "-Infinity",
    "word size": str(2**63),
    "many": str(10**9),
    "huge": "9" * 39,
    "huge digits": "9" * 5000,
    "list": "[]",
    "listed": '["a", 1, null, [], {}]',
    "numbers": "[1, 2, 3]",
    "table": "{}",
    "tables": '[{"a": 1}]',
    "nested": "[" * 60 + "]" * 60,
    "deep": "[" * 20_000 + "]" * 20_000,
    "deep table": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "half": '"\\ud800"',
    "built": json.dumps({"_target_": f"{CANARY}.make"}),
    "system": json.dumps({"_target_": "os.system", "command": "touch acted"}),
    "wide": json.dumps(list(range(5000))),
}
"""Name → what is written."""
TEXTS = _texts()
"""Those that are texts, as they are."""
