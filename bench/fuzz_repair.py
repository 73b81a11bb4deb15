"""Coverage-guided fuzzing of repair: no exception, no hang, and every kept field verbatim.

    python -m bench.fuzz_repair [CORPUS_FOLDER] [-max_total_time=600] [-max_len=4000]

The options are libFuzzer's (https://llvm.org/docs/LibFuzzer.html); `-timeout=5` makes a hang a crash. Needs `atheris`,
which is in requirements-dev.txt.
"""

from __future__ import annotations

import json
import sys

import atheris

with atheris.instrument_imports(include=["relearn.repair"]):
    from relearn.repair.dump import DumpText
    from relearn.repair.json import RecordSchema
    from relearn.repair.rows import DumpRepairer

SCHEMAS = (
    RecordSchema.of_texts(["agree", "disagree"]),
    RecordSchema({"answer": "string", "confidence": "number", "ok": "boolean", "tags": "strings"}),
)
# What models write between two texts: pieces that a byte fuzzer would take long to find.
PIECES = (
    '{"agree": "', '", "disagree": "', '"}', "'agree': '", "', 'disagree': '", "```json\n", "```", "\\\"agree\\\": \\\"",
    '"confidence": 0.5', '"tags": ["a", "b"]', "“agree”: “", "”, “disagree”: “", "// note\n", "agree: ", '{"answer": "',
    '"ok": True, ', "\\n", "\\\\", '""', "[{", "}]", '"{', '\\u00e9', "\n", '"""',
)  # fmt: skip
POLICIES = ("drop", "trim", "keep")
REASONS = (None, "stop", "length")


def one(data: bytes) -> None:
    """Reads one text made of pieces and of arbitrary characters, under a shape, a policy and a finish reason."""
    source = atheris.FuzzedDataProvider(data)
    choice = source.ConsumeIntInRange(0, 17)
    parts: list[str] = []
    while source.remaining_bytes() and len(parts) < 400:
        if source.ConsumeBool():
            parts.append(PIECES[source.ConsumeIntInRange(0, len(PIECES) - 1)])
        else:
            parts.append(source.ConsumeUnicode(source.ConsumeIntInRange(0, 24)))
    check("".join(parts), choice)


def check(text: str, choice: int) -> None:
    """Reads the text and checks what was kept, and that nothing went missing."""
    rows = DumpRepairer(SCHEMAS[choice % 2], POLICIES[choice // 2 % 3])
    for kept, row in rows.repair(DumpText(text, finish_reason=REASONS[choice // 6])):
        json.dumps(row)
        if not kept:
            assert row["content"] in text
            continue
        for name, offsets in row["source"]["offsets"].items():
            value = row["fields"][name]
            assert 0 <= offsets["start"] <= offsets["end"] <= len(text)
            if isinstance(value, str) and "\\" not in text:
                assert text[offsets["start"] : offsets["end"]] == value
    rows.ledger.as_dict()


def main() -> None:
    """Starts libFuzzer, which leaves the process."""
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
