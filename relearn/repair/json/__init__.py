"""Reads the records in a text, however broken its JSON is. This is the door: the modules behind it are its own.

`read_records` finds every record of a `RecordSchema` in a text, with the offsets of each field.
"""

from relearn.repair.json.reader import RecordsInText, has_only_reasoning, holds_a_key, read_records
from relearn.repair.json.records import FoundField, FoundRecord, lose_field
from relearn.repair.json.schema import RecordSchema, read_schema

__all__ = [
    "FoundField",
    "FoundRecord",
    "RecordSchema",
    "RecordsInText",
    "has_only_reasoning",
    "holds_a_key",
    "lose_field",
    "read_records",
    "read_schema",
]
