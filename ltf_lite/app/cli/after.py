"""The commands after training: serve, export."""

from __future__ import annotations

import argparse
from typing import Any

from ltf_lite.app.cli.common import DONE, whole


def add(verbs: Any) -> None:
    """Give the parser these commands."""
    verb = verbs.add_parser(
        "serve", help="serve a tuned GGUF file as OpenAI's server does, asked as it learnt"
    )
    verb.add_argument("model", metavar="RUN", help="a run, a GGUF file or tiny-tuned")
    verb.add_argument(
        "--port", type=whole("a port", 1, 2**16 - 1), default=8080, help="default 8080"
    )
    verb.set_defaults(run=serve)


def serve(args: argparse.Namespace) -> int:
    from ltf_lite.app.server import serve as serve_until_stopped

    serve_until_stopped(args.model, args.port)
    return DONE
