"""The pipeline's end of repair: the teacher's replies to reviews become instructions, and the rest is quarantined.

A reply has two fields, `agree` and `disagree`. Each ends kept or quarantined; a reply refused as a whole counts
for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from relearn.finish_reasons import read_ending
from relearn.records import STANCES, Instruction, Quarantined, Reply, Review, Stance
from relearn.repair import checks
from relearn.repair.json import FoundField, FoundRecord, RecordSchema, lose_field, read_records
from relearn.repair.rows import Refusal, Repairer, explain_no_record, find_raw

if TYPE_CHECKING:
    from relearn.params.repair import Repair


class ReplyRepairer(Repairer):
    """Reads replies one by one; memory grows by 8 to 32 bytes a text kept, more with `near_duplicates`."""

    def __init__(self, reviews: Mapping[str, Review], params: Repair) -> None:
        super().__init__(
            RecordSchema.of_texts(STANCES),
            params.truncated,
            {
                "replies": "replies_kept replies_half_kept replies_refused",
                "fields": "fields_kept fields_quarantined",
                "quarantine_rows": "fields_quarantined_alone replies_refused_whole extra_texts",
            },
        )
        self.reviews = reviews
        self.params = params
        self.row = 0
        self.near = None
        if params.near_duplicates is not None:
            # Here, because it brings numpy and scipy, which exact duplicates do without.
            from relearn.data.near_duplicates import Index

            self.near = Index(params.near_duplicates.threshold, params.near_duplicates.permutations)

    def repair_all(self, replies: Iterable[Reply]) -> Iterator[Instruction | Quarantined]:
        """Yields the instructions of each reply, and what was quarantined; then `ledger` is complete."""
        for reply in replies:
            yield from self.repair(reply)

    def repair(self, reply: Reply) -> Iterator[Instruction | Quarantined]:
        """Yields the instructions of one reply, and what was quarantined of it."""
        counts = self.ledger.counts
        counts["replies"] += 1
        content = reply.content or ""
        review = self.reviews.get(reply.id)
        record, extra = _choose_texts([], len(content))
        reason = _refuse_unread(reply, review)
        if reason is None:
            found = read_records(content, self.schema, reply.finish_reason, self.truncated)
            record, extra = _choose_texts(found.records, len(content))
            if all(field.lost for field in record.fields.values()):
                reason = _explain_loss(found.records) or explain_no_record(content, reply.finish_reason)
        refused = None
        if reason is not None or review is None:
            refused, extra = Refusal(reason or "unknown_review", 0, len(content)), []
        else:
            self._check_contents(reply.id, review, record)
        refusals = self.count_fields(record, refused)
        kept = 0
        for stance in STANCES:
            field = record.fields[stance]
            if review is not None and not (refused or field.lost):
                kept += 1
                yield self._make_instruction(reply, review, stance, field)
        for refusal in refusals + extra:
            self.ledger.refuse(refusal.reason, len(STANCES) if refusal is refused else 1)
            raw = reply.raw or content[refusal.start : refusal.end] or reply.refusal or ""
            yield Quarantined(id=reply.id, field=refusal.field, reason=refusal.reason, content=raw)
        counts["extra_texts"] += len(extra)
        counts["replies_refused_whole"] += refused is not None
        counts[("replies_refused", "replies_half_kept", "replies_kept")[kept]] += 1

    def _check_contents(self, reply_id: str, review: Review, record: FoundRecord) -> None:
        """Marks as lost what was read without fault and should still not be learned from, and repeats."""
        fields = [(stance, record.fields[stance]) for stance in STANCES]
        for stance, field in fields:
            if not field.lost:
                field.lost = next(checks.find_faults(field.value, stance, review.text, self.params), "")
        agree, disagree = (field for _, field in fields)
        if not (agree.lost or disagree.lost) and checks.are_alike(agree.value, disagree.value, self.params.similarity):
            agree.lost = disagree.lost = "agree_is_disagree"
        for stance, field in fields:
            if not field.lost:
                field.lost = self._find_repeat(reply_id, stance, field.value)

    def _find_repeat(self, reply_id: str, stance: Stance, text: str) -> str:
        """Why a text that an earlier one repeats is refused; empty for a new text, which is remembered."""
        self.row += 1
        if self.seen.add(f"{stance}\n{text}", self.row) is not None:
            return "duplicate"
        if self.near is not None:
            neighbours = self.near.near(text)
            if neighbours:
                return f"near_duplicate of {neighbours[0]}"
            self.near.add(f"{reply_id}-{stance}", text)
        return ""

    def _make_instruction(self, reply: Reply, review: Review, stance: Stance, field: FoundField) -> Instruction:
        flags = {*field.flags, *(["stopped_at_length"] if reply.finish_reason == "length" else [])}
        self.ledger.flags.update(flags)
        return Instruction(
            id=f"{review.id}-{stance}",
            review_id=review.id,
            stance=stance,
            instruction=getattr(self.params.instructions, stance).replace("{review}", review.text),
            response=field.value,
            split=review.split,
            flags=sorted(flags),
        )


def _refuse_unread(reply: Reply, review: Review | None) -> str | None:
    """Why a reply need not be read."""
    if review is None:
        return "unknown_review"
    if reply.refusal:
        return "refusal"
    if not (reply.content or "").strip():
        return "content_filter" if read_ending(reply.finish_reason) == "refused" else "empty"
    return None


def _choose_texts(records: list[FoundRecord], size: int) -> tuple[FoundRecord, list[Refusal]]:
    """One record with the text of each stance (the first whole one), and the other texts, repeats of it left out."""
    chosen, extra = FoundRecord(0, size), []
    for stance in STANCES:
        found = [(record.fields[stance], record.flags) for record in records if record.fields[stance].lost != "missing"]
        if not found:
            chosen.fields[stance] = lose_field("missing")
            continue
        field, flags = next((pair for pair in found if not pair[0].lost), found[0])
        others = [other for other, _ in found if other is not field]
        different = [other for other in others if other.lost or other.value != field.value]
        if len(different) < len(others):
            flags = flags | {"repeated"}
        if different:
            flags = flags | {"several_texts"}
        field.flags = (*field.flags, *flags)
        chosen.fields[stance] = field
        extra += [Refusal("extra_text", *find_raw(other, chosen), stance) for other in different]
    return chosen, extra


def _explain_loss(records: list[FoundRecord]) -> str | None:
    """Why all fields of a reply were lost, most telling first; None where there was no field."""
    lost = {field.lost for record in records for field in record.fields.values()} - {"missing"}
    telling = ("ambiguous_end", "not_verbatim", "cut_off", "wrong_type", "null", "no_quotes")
    return next((reason for reason in (*telling, *sorted(lost)) if reason in lost), None)
