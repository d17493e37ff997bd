"""The embedded base's tokenizer: byte-level BPE in which every number 0..999 is one token.

Its pre-tokenizer is the one llama.cpp calls `llama-bpe`, whose regex splits digits in threes, and
`ignore_merges` takes a number that is in the vocabulary whole. Any text can be encoded: what is no
number or sign falls back to bytes.
"""

from __future__ import annotations

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
NUMBERS = 1000
SIZE = 1280  # of the vocabulary, padded with unused tokens
WORDS = ("sure", "likely", "impossible")
LLAMA_BPE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def vocabulary() -> dict[str, int]:
    """Token → id: the numbers first, so that number n has the id n."""
    tokens = [str(n) for n in range(NUMBERS)]
    tokens += [
        byte
        for byte in sorted(pre_tokenizers.ByteLevel.alphabet())
        if not byte.isdigit() or not byte.isascii()
    ]
    tokens += [*WORDS, BOS, EOS, PAD]
    tokens += [f"<unused{n}>" for n in range(SIZE - len(tokens))]
    return {token: index for index, token in enumerate(tokens)}


def build() -> PreTrainedTokenizerFast:
    """The tokenizer; a prompt begins with BOS."""
    vocab = vocabulary()
    merges = [(str(n // 10), str(n % 10)) for n in range(10, NUMBERS)]
    core = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_BPE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    special = (AddedToken(t, special=True, normalized=False) for t in (BOS, EOS, PAD))
    core.add_special_tokens(list(special))
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, vocab[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=128,
    )
