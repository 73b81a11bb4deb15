"""Full-width punctuation between values, as ASCII: `｛＂a＂：1，` reads as `{"a":1,`. Offsets stay as they are."""

from __future__ import annotations

import re

_WIDE = re.compile(r"[，、；：｛｝＂［］]")
_KEY = r"[\"“”'‘]\w[\w \-.]{0,47}[\"“”'’]"
_COMMA = re.compile(rf"(?<=[\"“”'’\d\]}}｝el])(\s*+)[，、；](?=\s*+(?:{_KEY}\s*+[:：]|[{{｛]))")
_LAST_COMMA = re.compile(r"(?<=[\"“”'’\d\]}｝el])(\s*+)[，、；](?=\s*+[}｝])")
_COLON = re.compile(rf"({_KEY}\s*+)：(?=\s*+(?:[\"“”'‘\d{{｛［\[-]|true|false|null))")
_OPEN = re.compile(rf"｛(?=\s*+{_KEY}\s*+[:：])")
_CLOSE = re.compile(r"(?<=[\"“”'’\d\]},，el])(\s*+)｝")
_LIST = re.compile(r"［(?=\s*+[\"“{｛］])|(?<=[\"”}｝［\[])(\s*+)］")


def make_ascii(text: str) -> str:
    """The text, of the same length, with full-width punctuation replaced where it is between keys and values."""
    if text.isascii() or _WIDE.search(text) is None:
        return text
    if '"' not in text and "“" not in text:
        text = text.replace("＂", '"')
    text = _OPEN.sub("{", text)
    text = _COMMA.sub(r"\1,", text)
    text = _LAST_COMMA.sub(r"\1,", text)
    text = _COLON.sub(r"\1:", text)
    text = _CLOSE.sub(r"\1}", text)
    return _LIST.sub(lambda match: "[" if match.group()[0] == "［" else f"{match.group(1)}]", text)
