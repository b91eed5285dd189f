"""The demo model's tokenizer: a byte-level BPE learnt from the grammar's text, its special tokens and chat template."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.demo.grammar import documents

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, BOS, EOS = "<pad>", "<s>", "</s>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
VOCABULARY = 1024
BOS_ID, EOS_ID, FIRST_PLAIN_ID = 1, 2, 6
# The pattern of Qwen2 (one digit a token); llama.cpp and Ollama know it.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] == 'assistant' %}
{{- '<|assistant|>\\n' }}
{%- generation %}
{{- message['content'] + eos_token }}
{%- endgeneration %}
{%- elif message['role'] in ('system', 'user') %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] + '\\n' }}
{%- else %}
{{- raise_exception('This template knows the roles system, user and assistant.') }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|assistant|>\\n' }}
{%- endif %}
"""
CONTEXT_LENGTH = 512
TOKENIZER_DOCUMENTS = 12_000


def train_tokenizer() -> Tokenizer:
    """A byte-level BPE of VOCABULARY entries, learnt from the grammar's text. Deterministic."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True) for t in (PAD, BOS, EOS, *ROLES.values())]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    parts = ("".join(text for _, text in document) for document in documents())
    tokenizer.train_from_iterator(islice(parts, TOKENIZER_DOCUMENTS), trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> Any:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja; gives the transformers tokenizer."""
    from transformers import PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD,
        model_max_length=CONTEXT_LENGTH, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(directory)
    return wrapped
