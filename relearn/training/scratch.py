"""A small Llama and its byte-level BPE, from nothing: the base of the profiles that load no model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from relearn.errors import InputError
from relearn.params.base import ScratchBase

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedModel, PreTrainedTokenizerBase

END, PAD = "<|end|>", "<|pad|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")


def train_tokenizer(texts: Iterable[str], vocabulary: int, template: str) -> PreTrainedTokenizerBase:
    """A byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) of at most `vocabulary` tokens, from these texts.

    It covers any text, since every byte is a token, and carries the chat template. Raises InputError when the
    template does not use the end token, without which a model never stops.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if END not in template:
        raise InputError(
            f"chat.template: must end each message with {END}, the end token of a base trained from scratch"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, *ROLES],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        chat_template=template,
        clean_up_tokenization_spaces=False,
        model_max_length=100_000,
    )


def new_model(tokenizer: PreTrainedTokenizerBase, shape: ScratchBase) -> PreTrainedModel:
    """A randomly initialised Llama (Touvron et al. 2023) of this shape; the global seed decides its weights."""
    from transformers import LlamaForCausalLM

    config = make_config(shape, len(tokenizer))
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    return LlamaForCausalLM(config)


def make_config(shape: ScratchBase, vocabulary: int) -> LlamaConfig:
    """A Llama of this shape, its special tokens still unnamed."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=4 * shape.max_tokens,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
