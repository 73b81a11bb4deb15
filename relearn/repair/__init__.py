"""From a teacher's raw replies to clean rows: locate, read, check, deduplicate.

`python -m relearn.repair` runs it on any dump of replies, without the pipeline.
"""

from relearn.repair.ledger import Ledger
from relearn.repair.replies import new_ledger, repair_replies

__all__ = ["Ledger", "new_ledger", "repair_replies"]
