"""A GGUF file opened with llama.cpp: its tokens, its metadata, and a KV cache of many sequences.

A few sequences of the cache hold the last prompts: what the next prompt has in common with one is
not computed again, and the sequences that continue it share its cells. A recurrent layer has only
the state after such a prompt, so there only a prompt that goes on from it is spared anything.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp as lc
import numpy as np

from ltf_lite.core.threads import threads as own_threads
from ltf_lite.engines.base import EngineError, Listener, Stopped, check, check_numbers, common
from ltf_lite.engines.dialect import (
    COMPACT,
    DEFAULT,
    KEY,
    SEARCH_KEY,
    Dialect,
    chats,
    framed,
    knows_search,
)
from ltf_lite.engines.dialect import dialect as named
from ltf_lite.engines.llama import chat
from ltf_lite.engines.llama.batch import BATCH, Batch, Entry
from ltf_lite.engines.llama.grammar import Guide, Letters, letters
from ltf_lite.engines.llama.model import load, metadata, recurs
from ltf_lite.engines.llama.prompts import HELD, Prompts
from ltf_lite.engines.template import end_token, framed_ids

CONTEXT = 4096  # tokens a sequence, where the model's own context is longer
CELLS = 16384  # of the cache for all sequences together, where one sequence needs no more
SMALL = 20e6  # parameters; below this, threads share a single token for longer than they save
MAX_SEQUENCES = 256 - HELD  # 256 is llama.cpp's limit, and some hold the last prompts
ABORTED = 2  # llama_decode's code
ATTENTION = 0.05  # seconds between looks at whether a forward pass has to end

# What llama.cpp asks before each operation, whether to end a pass: strlen of a flag. A function
# written in Python would wait for the interpreter's lock there, hundreds of times a token, and made
# a small model twenty times slower beside a busy thread.
_IS_NOT_EMPTY: Any = ctypes.cast(
    ctypes.CDLL("msvcrt" if os.name == "nt" else None).strlen, lc.ggml_abort_callback
)


class LlamaContext:
    """Sequences 0 … `sequences` - 1 of a cache, and those that hold the last prompts.

    `context` is the most tokens a sequence may have, and all held prompts together; `cells` what
    all sequences together may.
    """

    def __init__(
        self,
        path: str | Path,
        context: int | None,
        threads: int | None,
        exact: bool,
        sequences: int,
    ) -> None:
        if not 1 <= sequences <= MAX_SEQUENCES:
            raise EngineError(f"sequences must be 1 to {MAX_SEQUENCES}, not {sequences}")
        self._path, self._model = str(path), load(path)
        self.context = min(context or CONTEXT, lc.llama_model_n_ctx_train(self._model))
        self.cells = min((sequences + 1) * self.context, max(CELLS, 2 * self.context))
        self.sequences = sequences
        wanted = self._parameters(threads, exact)
        self._ctx = lc.llama_init_from_model(self._model, wanted)
        if not self._ctx:
            lc.llama_model_free(self._model)
            raise EngineError(
                f"no memory for {self.cells} tokens of context of {str(path)!r} (give a smaller "
                "context or fewer sequences)"
            )
        self._vocab: Any = lc.llama_model_get_vocab(self._model)
        self._width = lc.llama_vocab_n_tokens(self._vocab)
        self._memory: Any = lc.llama_get_memory(self._ctx)
        self._recurs, self._window = recurs(self._model), lc.llama_model_n_swa(self._model)
        self._batch = Batch()
        self._stop: Any = ctypes.create_string_buffer(2)  # a text that is not empty once it is said
        lc.llama_set_abort_callback(self._ctx, _IS_NOT_EMPTY, ctypes.addressof(self._stop))
        self.prompts = Prompts(self.sequences, self.context)
        self._pieces: dict[int, bytes | None] = {}
        self._ends: int | None = None  # of a chat, where llama.cpp does not know it for an end

    def _parameters(self, threads: int | None, exact: bool) -> Any:
        threads = threads or own_threads()
        wanted = lc.llama_context_default_params()
        wanted.n_ctx = self.cells
        wanted.n_batch = wanted.n_ubatch = BATCH
        wanted.n_seq_max = self.sequences + HELD
        wanted.kv_unified = True
        # llama.cpp tells passes of one token from passes of many, and so does what pays off.
        small = lc.llama_model_n_params(self._model) < SMALL
        wanted.n_threads, wanted.n_threads_batch = 1 if small else threads, threads
        if exact:
            wanted.type_k = wanted.type_v = lc.GGML_TYPE_F32
            wanted.flash_attn_type = lc.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return wanted

    def close(self) -> None:
        """Give the memory back; to be called once."""
        lc.llama_free(self._ctx)
        lc.llama_model_free(self._model)

    def metadata(self, key: str) -> str | None:
        """The file's metadata under a key, as text; None where it has none."""
        return metadata(self._model, key)

    def precision(self) -> str:
        """What most of the weights are in, as llama.cpp calls it."""
        told = ctypes.create_string_buffer(128)
        lc.llama_model_desc(self._model, told, len(told))
        return told.value.decode("utf-8", "replace").split(" ")[-1]

    def dialect(self, wanted: Dialect | None = None) -> Dialect:
        """The dialect to ask in; raises EngineError.

        By default it is what the file says it speaks, few-shot where it does not say. A chat has
        the frame of the file's template.
        """
        own = wanted or named(self.metadata(KEY) or DEFAULT, f"the GGUF file {self._path!r}")
        if own.name == COMPACT and own.search is None:
            known = knows_search(self.metadata(KEY), self.metadata(SEARCH_KEY))
            return replace(own, search=known)
        if not chats(own.name):
            return own
        found = chat.framed(own, self._path, self._names())
        assert found.frame
        self._ends = end_token(found.frame, chat.Words(self, []))
        return found

    def _names(self) -> dict[str, str]:
        """The tokens that a chat template calls by name."""
        ids: dict[str, int] = {
            "bos_token": lc.llama_vocab_bos(self._vocab),
            "eos_token": lc.llama_vocab_eos(self._vocab),
            "pad_token": lc.llama_vocab_pad(self._vocab),
        }
        return {name: self._text(token) for name, token in ids.items() if token >= 0}

    # -- text and tokens ---------------------------------------------------------------------

    def encode(self, text: str, begin: bool, special: bool = True) -> list[int]:
        """Token ids; `begin` puts BOS first where the file asks for it.

        Where the file does not say, llama.cpp decides by the kind of pre-tokenizer. Control tokens
        are recognised where the text is `special`.
        """
        raw = text.encode("utf-8", "replace")
        room = (lc.llama_token * (len(raw) + 1))()
        size = lc.llama_tokenize(self._vocab, raw, len(raw), room, len(room), False, special)
        bos = begin and lc.llama_vocab_get_add_bos(self._vocab)
        return ([int(lc.llama_vocab_bos(self._vocab))] if bos else []) + list(room[:size])

    def asked(self, prompts: Sequence[str], dialect: Dialect) -> list[list[int]]:
        """The token ids of prompts in a dialect, as `Dialect.encode` has them."""
        if dialect.frame and all(map(framed, prompts)):
            words = chat.Words(self, self.encode("", dialect.begins))
            return framed_ids(dialect.frame, prompts, words)
        return [self.encode(prompt, dialect.begins) for prompt in prompts]

    def control(self, token: int) -> str | None:
        """The text of a control token; None for any other."""
        return self._text(token) if lc.llama_vocab_is_control(self._vocab, token) else None

    def _text(self, token: int) -> str:
        return self._bytes(token).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes | None:
        """The bytes of a token; None where it ends the generation."""
        if token not in self._pieces:
            ends = token == self._ends or lc.llama_vocab_is_eog(self._vocab, token)
            self._pieces[token] = None if ends else self._bytes(token)
        return self._pieces[token]

    def _bytes(self, token: int) -> bytes:
        """The bytes of a token. llama_detokenize would drop blanks before signs."""
        size, room = 64, ctypes.create_string_buffer(64)
        for _ in range(2):
            size = lc.llama_token_to_piece(self._vocab, token, room, len(room), 0, True)
            if size >= 0:
                break
            room = ctypes.create_string_buffer(-size)
        return room.raw[:size]

    def guide(self, grammar: str) -> Guide | None:
        """What holds a sequence to a grammar, None where there is none; raises EngineError."""
        return Guide(self._vocab, self._letters, grammar, self._ends) if grammar else None

    @cached_property
    def _letters(self) -> Letters:
        tokens = range(self._width)
        signs = [lc.llama_vocab_get_attr(self._vocab, token) for token in tokens]
        return letters([self.piece(token) for token in tokens], signs)

    # -- the cache ---------------------------------------------------------------------------

    def decode(self, entries: Sequence[Entry]) -> np.ndarray:
        """Run entries, any number of them; raises EngineError.

        Returns logits (entries wanted, vocabulary), float32, to be read before the next call.
        """
        if len(entries) <= BATCH:
            return self._pass(entries)
        parts = range(0, len(entries), BATCH)
        return np.concatenate([self._pass(entries[at : at + BATCH]).copy() for at in parts])

    @contextmanager
    def stoppable(self, listener: Listener | None) -> Iterator[None]:
        """Have a listener end even a forward pass that is under way, by Stopped."""
        if listener is None:
            yield
            return
        check(listener)
        over = threading.Event()

        def look() -> None:
            while not over.wait(ATTENTION):
                if listener.stopped():
                    self._stop.value = b"!"
                    return

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()
            self._stop.value = b""

    def _pass(self, entries: Sequence[Entry]) -> np.ndarray:
        self._batch.fill(entries)
        code = ABORTED if self._stop.value else lc.llama_decode(self._ctx, self._batch.c)
        if code == ABORTED:
            raise Stopped
        if code:
            raise EngineError(f"llama.cpp failed on a batch of {len(entries)} tokens (code {code})")
        rows = sum(wanted for *_, wanted in entries)
        if not rows:
            return np.empty((0, self._width), np.float32)
        found = lc.llama_get_logits(self._ctx)
        if not found:
            raise EngineError(f"the model {self._path!r} gives no logits: it makes embeddings only")
        logits = np.ctypeslib.as_array(found, (rows, self._width))
        check_numbers(logits.max(1), self._path)  # NaN if anything is
        return logits

    def spared(self, ids: list[int], other: list[int]) -> int:
        """How many tokens of a prompt another prompt, that was computed, leaves to share."""
        same = min(common(ids, other), len(ids) - 1)
        return same if same == len(other) or not self._recurs else 0

    def spared_here(self, ids: list[int]) -> tuple[int, int]:
        """How many tokens of a prompt a held one leaves to share, and which sequence holds that."""
        found = ((self.spared(ids, old), at) for at, old in self.prompts)
        return max(found, default=(0, -1))

    def begin(self, sequence: int, ids: list[int]) -> list[Entry]:
        """Have an empty sequence share what a held prompt has of this one.

        Returns the entries to run for the rest, one at least: the last, whose logits are wanted.
        """
        (same, at), last = self.spared_here(ids), len(ids) - 1
        if self._window and same and not self._sees(at, same):
            same = 0
        if same:
            self.share(at, sequence, same)
            self.prompts.used(at)
        return [(ids[i], i, sequence, i == last) for i in range(same, len(ids))]

    def _sees(self, at: int, length: int) -> bool:
        """Whether the cache still has what a token after so many of a held prompt looks at.

        llama.cpp gives the cells away that lie behind the sliding window of a sequence's end.
        """
        oldest = lc.llama_memory_seq_pos_min(self._memory, at)
        return bool(oldest <= max(0, length - self._window))

    def hold(self, sequence: int, ids: list[int]) -> None:
        """Have the cache hold the prompt that a sequence begins with."""
        at, gone = self.prompts.take(ids)
        for each in gone:
            self.drop(each)
        self.share(sequence, at, len(ids))

    def share(self, source: int, sequence: int, length: int) -> None:
        """Have an empty sequence begin with the first tokens of another."""
        lc.llama_memory_seq_cp(self._memory, source, sequence, 0, length)

    def drop(self, sequence: int) -> None:
        """Free a sequence's cells."""
        lc.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def clear(self) -> None:
        """Free all cells, after a call that failed half-way."""
        lc.llama_memory_clear(self._memory, False)
        self.prompts.clear()
