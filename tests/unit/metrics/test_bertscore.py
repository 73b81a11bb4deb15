"""BERTScore against bert-score's own, on the packaged encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from relearn.errors import InputError
from relearn.metrics import bertscore
from relearn.metrics.bertscore import Encoder

PREDICTIONS = [
    "I agree with you, the songs are lovely.",
    "def f(x): return x + 1",
    "a",
    "The cat sat on the mat while the dog slept by the fire, and nobody spoke a word all evening long.",
]
REFERENCES = [
    "The music was wonderful, you are right.",
    "def g(y):\n    return y + 2",
    "b",
    "A cat was sitting on a mat.",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder("minilm")


def test_bert_scores_own_values(encoder: Encoder) -> None:
    from bert_score import score

    _, _, expected = score(PREDICTIONS, REFERENCES, model_type=bertscore.minilm_folder(), num_layers=6, device="cpu")
    found = bertscore.bertscore(PREDICTIONS, REFERENCES, encoder).each()
    assert list(found) == pytest.approx(expected.tolist(), abs=2e-5)


def test_known_cases(encoder: Encoder) -> None:
    assert bertscore.bertscore(REFERENCES, REFERENCES, encoder).point == 1
    assert bertscore.bertscore([""] * 4, REFERENCES, encoder).point == 0
    assert bertscore.bertscore([" \n", "x"], ["a b", ""], encoder).point == 0


def test_the_identity_is_not_only_a_short_cut(encoder: Encoder) -> None:
    (have, counted), (need, _) = encoder.embed(["the same words", "the same words"])
    assert float((have @ need.T)[counted].max(dim=1).values.min()) == pytest.approx(1.0, abs=1e-5)


def test_neighbours_do_not_matter(encoder: Encoder) -> None:
    alone = bertscore.bertscore(PREDICTIONS[:1], REFERENCES[:1], Encoder("minilm")).point
    together = bertscore.bertscore(PREDICTIONS, REFERENCES, Encoder("minilm")).each()[0]
    assert alone == pytest.approx(together, abs=1e-5)


def test_long_texts_are_cut(encoder: Encoder) -> None:
    value = bertscore.f1("word " * 3000, "word " * 2000 + "end", encoder)
    assert 0.9 < value <= 1


def test_signature_and_layers(encoder: Encoder) -> None:
    assert encoder.signature["encoder_sha256"] == bertscore.MINILM_SHA256
    assert encoder.signature["layer"] == 6
    with pytest.raises(InputError, match="encoder_layers: 9, but minilm has 6"):
        Encoder("minilm", 9)


def test_wrong_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bertscore, "MINILM_SHA256", "0" * 64)
    bertscore.minilm_folder.cache_clear()
    try:
        with pytest.raises(InputError, match="has sha256 53aa51172d14"):
            bertscore.minilm_folder()
    finally:
        bertscore.minilm_folder.cache_clear()


def test_a_folder_that_is_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \*.safetensors"):
        Encoder(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be loaded"):
        Encoder(str(tmp_path))
