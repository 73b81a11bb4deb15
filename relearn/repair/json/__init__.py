"""Reads the records in a text, however broken its JSON is. This is the door: the modules behind it are its own.

`read_records` finds every record of a `RecordSchema` in a text, with the offsets of each field.
"""

from relearn.repair.json.reader import RecordsInText, has_only_reasoning, holds_a_key, read_records
from relearn.repair.json.records import FoundField, FoundRecord, lose_field
from relearn.repair.json.schema import KNOWN_FIELDS, RecordSchema, load_task_schema, read_schema

__all__ = [
    "KNOWN_FIELDS",
    "FoundField",
    "FoundRecord",
    "RecordSchema",
    "RecordsInText",
    "has_only_reasoning",
    "holds_a_key",
    "load_task_schema",
    "lose_field",
    "read_records",
    "read_schema",
]
