"""A teacher on loopback that answers any JSON Schema: what a test needs where mini's teacher knows one task only.

`with Server(SchemaTeacher(schema)) as server:` serves it; `relearn.mini.server` does the rest.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from relearn.mini.completions import Teacher

WORDS = "amber birch copper delta ember fjord garnet harbor indigo juniper kelp lantern maple nickel opal".split()


def make_value(name: str, spec: Mapping[str, Any], rng: random.Random) -> Any:
    """A value of a property: text names the property and words drawn, so that hardly any two are the same."""
    if "enum" in spec:
        return rng.choice(spec["enum"])
    if spec["type"] == "array":
        return [make_value(f"{name} {number}", spec["items"], rng) for number in (1, 2)]
    if spec["type"] == "boolean":
        return rng.random() < 0.5
    if spec["type"] in ("number", "integer"):
        return rng.randrange(1000)
    return f"The {name} is {' '.join(rng.choices(WORDS, k=8))}."


class SchemaTeacher(Teacher):
    """Answers by the schema that a request brings (`response_format`), else by `schema`; the messages decide the words."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        super().__init__(0, {})
        self.schema = schema

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the response."""
        body = super().answer(request)
        form = request.get("response_format") or {}
        schema = form.get("json_schema", {}).get("schema", self.schema)
        rng = random.Random(json.dumps(request["messages"]))
        record = {name: make_value(name, spec, rng) for name, spec in schema["properties"].items()}
        body["choices"][0]["message"]["content"] = json.dumps(record)
        body["choices"][0]["finish_reason"] = "stop"
        return body
