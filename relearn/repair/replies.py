"""The pipeline's repair: the teacher's replies to reviews become instructions, and the rest is quarantined.

A reply has two fields, `agree` and `disagree`. Each ends kept or quarantined; a reply refused as a whole counts
for both.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from relearn.records import STANCES, Instruction, Quarantined, Reply, Review, Stance
from relearn.repair import checks, truncation
from relearn.repair.json.document import Reading, read
from relearn.repair.json.schema import Shape
from relearn.repair.json.tree import Part
from relearn.repair.ledger import Ledger, Seen

if TYPE_CHECKING:
    from relearn.params.groups import Repair

SHAPE = Shape.of_names(STANCES)


def new_ledger() -> Ledger:
    """A ledger with the pipeline's sums declared."""
    ledger = Ledger()
    ledger.must_add_up("replies", "replies_kept", "replies_half_kept", "replies_refused")
    ledger.must_add_up("fields", "fields_kept", "fields_quarantined")
    ledger.must_add_up("quarantine_rows", "fields_quarantined_alone", "replies_refused_whole", "extra_texts")
    return ledger


def repair_replies(
    replies: Iterable[Reply], reviews: Mapping[str, Review], params: Repair, ledger: Ledger
) -> Iterator[Instruction | Quarantined]:
    """Reads the replies one by one and yields, for each, its instructions and what was quarantined.

    Memory does not grow with the texts (8 to 32 bytes a reply kept, for exact duplicates) unless
    `near_duplicates` is set. `ledger` comes from `new_ledger` and is complete when the iterator ends.
    """
    repairer = _Repairer(reviews, params, ledger)
    for reply in replies:
        yield from repairer.repair(reply)


class _Repairer:
    def __init__(self, reviews: Mapping[str, Review], params: Repair, ledger: Ledger) -> None:
        self.reviews = reviews
        self.params = params
        self.ledger = ledger
        self.seen = Seen()
        self.row = 0
        self.near = None
        if params.near_duplicates is not None:
            # Here, because it brings numpy and scipy, which exact duplicates do without.
            from relearn.data.near_duplicates import Index

            self.near = Index(params.near_duplicates.threshold, params.near_duplicates.permutations)

    def repair(self, reply: Reply) -> Iterator[Instruction | Quarantined]:
        counts = self.ledger.counts
        counts["replies"] += 1
        counts["fields"] += len(STANCES)
        content = reply.content or ""
        review = self.reviews.get(reply.id)
        whole = self._refused_whole(reply, review)
        if whole is not None or review is None:
            yield self._quarantine_whole(reply, whole or "unknown_review")
            return
        reading = read(content, SHAPE, reply.finish_reason)
        truncation.hidden(content, reading.records, reply.finish_reason)
        for draft in reading.records:
            truncation.settle(content, draft, self.params.truncated)
        chosen, extra = _choose(reading)
        if not any(not part.lost for part, _ in chosen.values()):
            yield self._quarantine_whole(reply, _whole_reason(content, reading, reply))
            return
        kept = yield from self._fields(reply, review, chosen, content)
        for stance, part in extra:
            counts["extra_texts"] += 1
            counts["quarantine_rows"] += 1
            self.ledger.refuse("extra_text")
            yield Quarantined(id=reply.id, field=stance, reason="extra_text", content=_raw(content, part))
        counts[("replies_refused", "replies_half_kept", "replies_kept")[kept]] += 1

    def _refused_whole(self, reply: Reply, review: Review | None) -> str | None:
        if review is None:
            return "unknown_review"
        if reply.refusal:
            return "refusal"
        if not (reply.content or "").strip():
            return "content_filter" if reply.finish_reason == "content_filter" else "empty"
        return None

    def _quarantine_whole(self, reply: Reply, reason: str) -> Quarantined:
        counts = self.ledger.counts
        counts["replies_refused"] += 1
        counts["replies_refused_whole"] += 1
        counts["fields_quarantined"] += len(STANCES)
        counts["quarantine_rows"] += 1
        self.ledger.refuse(reason, len(STANCES))
        content = reply.content if reply.content else reply.refusal or ""
        return Quarantined(id=reply.id, field=None, reason=reason, content=content)

    def _fields(
        self, reply: Reply, review: Review, chosen: Mapping[Stance, tuple[Part, set[str]]], content: str
    ) -> Generator[Instruction | Quarantined, None, int]:
        """Yields the fields, kept or quarantined; returns how many were kept."""
        verdicts: dict[Stance, str | None] = {}
        for stance in STANCES:
            part, _ = chosen[stance]
            verdicts[stance] = part.lost or next(
                checks.reasons(part.value, stance, review.text, self.params), None
            )
        if all(verdict is None for verdict in verdicts.values()) and checks.alike(
            chosen["agree"][0].value, chosen["disagree"][0].value, self.params.similarity
        ):
            verdicts = dict.fromkeys(STANCES, "agree_is_disagree")
        kept = 0
        for stance in STANCES:
            part, flags = chosen[stance]
            reason = verdicts[stance] or self._duplicate(reply.id, stance, part.value)
            if reason is None:
                kept += 1
                yield self._keep(review, stance, part, flags, reply)
            else:
                self.ledger.counts["fields_quarantined"] += 1
                self.ledger.counts["fields_quarantined_alone"] += 1
                self.ledger.counts["quarantine_rows"] += 1
                self.ledger.refuse(reason)
                yield Quarantined(id=reply.id, field=stance, reason=reason, content=_raw(content, part))
        return kept

    def _duplicate(self, reply_id: str, stance: Stance, text: str) -> str | None:
        self.row += 1
        if self.seen.add(f"{stance}\n{text}", self.row) is not None:
            return "duplicate"
        if self.near is not None:
            neighbours = self.near.near(text)
            if neighbours:
                return f"near_duplicate of {neighbours[0]}"
            self.near.add(f"{reply_id}-{stance}", text)
        return None

    def _keep(self, review: Review, stance: Stance, part: Part, flags: set[str], reply: Reply) -> Instruction:
        names = sorted(
            flags | set(part.flags) | ({"stopped_at_length"} if reply.finish_reason == "length" else set())
        )
        self.ledger.counts["fields_kept"] += 1
        self.ledger.flag(names)
        return Instruction(
            id=f"{review.id}-{stance}",
            review_id=review.id,
            stance=stance,
            instruction=getattr(self.params.instructions, stance).replace("{review}", review.text),
            response=part.value,
            split=review.split,
            flags=names,
        )


def _choose(reading: Reading) -> tuple[dict[Stance, tuple[Part, set[str]]], list[tuple[Stance, Part]]]:
    """The text of each stance (the first whole one), and the other texts found, repeats of it left out."""
    chosen: dict[Stance, tuple[Part, set[str]]] = {}
    extra: list[tuple[Stance, Part]] = []
    for stance in STANCES:
        found = [(draft.parts[stance], draft.flags) for draft in reading.records if stance in draft.parts]
        whole = [item for item in found if not item[0].lost] or found
        if not whole:
            chosen[stance] = (Part(None, 0, 0, (), (), None, "missing"), set())
            continue
        part, flags = whole[0]
        chosen[stance] = (part, set(flags))
        others = [other for other, _ in found if other is not part]
        different = [other for other in others if other.lost or other.value != part.value]
        if len(different) < len(others):
            chosen[stance][1].add("repeated")
        if different:
            chosen[stance][1].add("several_texts")
        extra += [(stance, other) for other in different]
    return chosen, extra


def _raw(content: str, part: Part) -> str:
    """The raw text of a part; the whole reply where the part stands nowhere."""
    return content[part.start : part.end] if part.end > part.start else content


def _whole_reason(content: str, reading: Reading, reply: Reply) -> str:
    """Why nothing of a reply could be kept."""
    lost = {part.lost for draft in reading.records for part in draft.parts.values()}
    for reason in ("ambiguous_end", "not_verbatim", "cut_off", "wrong_type", "null", "no_quotes"):
        if reason in lost:
            return reason
    if lost:
        return sorted(lost)[0]
    if checks.refuses(content.strip()):
        return "refusal"
    return "cut_off" if reply.finish_reason == "length" else "no_record"
