"""`python -m ltf_lite.engines.llama FILE SECONDS [plainly]`: use a GGUF file, and die of it maybe.

Everything is done that an engine does: text becomes tokens, prompts go through the model together,
share a beginning, and are continued.
"""

from __future__ import annotations

import faulthandler
import sys

from ltf_lite.engines.llama.context import LlamaContext
from ltf_lite.engines.llama.trial import PLAINLY, mark, survived

SEQUENCES = 32  # as an engine has them
# Characters that begin with every byte that UTF-8 knows.
TEXT = "".join(
    map(chr, [*range(0x800), *range(0x800, 0xD800, 0x800), *range(0xE000, 0x110000, 0x1000)])
)


def main(path: str, seconds: str, *how: str) -> None:
    faulthandler.dump_traceback_later(float(seconds), exit=True)  # nobody may be left to end it
    survived[mark(path)] = PLAINLY in how
    llama = LlamaContext(path, None, None, False, SEQUENCES)
    llama.encode(TEXT, True)
    first = llama.encode("1 + 2", True) or [0]
    for ids in (first, [*first, first[-1]], first):
        llama.decode(llama.begin(0, ids))
        llama.hold(0, ids)
        for sequence in range(1, SEQUENCES):
            llama.share(0, sequence, len(ids))
        for at, few in enumerate((1, SEQUENCES // 8), len(ids)):
            llama.decode([(ids[0], at, sequence, True) for sequence in range(0, SEQUENCES, few)])
        for sequence in range(SEQUENCES):
            llama.drop(sequence)


main(*sys.argv[1:])
