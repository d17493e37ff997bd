"""The commands after training: serve, export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltf_lite.app.cli.common import DONE, UsageError, add_json, path, print_json, tell, whole

if TYPE_CHECKING:
    from ltf_lite.pipeline.exported import Outcome


def add(verbs: Any) -> None:
    """Give the parser these commands."""
    verb = verbs.add_parser(
        "serve", help="serve a tuned model as OpenAI's server does, asked as it learnt"
    )
    verb.add_argument("model", metavar="RUN", help="a run's folder, a GGUF file or tiny-tuned")
    verb.add_argument(
        "--port", type=whole("a port", 1, 2**16 - 1), default=8080, help="default 8080"
    )
    verb.set_defaults(run=serve, loads=True)

    verb = verbs.add_parser("export", help="write more files of a run's model, or push them")
    verb.add_argument("folder", type=path, metavar="RUN", help="the run's folder")
    verb.add_argument(
        "--adapter",
        action="store_true",
        help="the LoRA adapter alone as a GGUF file, to lay over one of the base",
    )
    verb.add_argument(
        "--quantize",
        nargs="+",
        default=[],
        metavar="KIND",
        help="further quantized files, measured like the run's own: q8_0, q6_k, q5_k_m, q4_k_m",
    )
    verb.add_argument(
        "--push", metavar="REPO", help="to the Hugging Face Hub: USER/NAME, private by default"
    )
    verb.add_argument("--public", action="store_true", help="with --push: for anyone to read")
    add_json(verb)
    verb.set_defaults(run=export, loads=True)


def serve(args: argparse.Namespace) -> int:
    from ltf_lite.app.server import serve as serve_until_stopped

    serve_until_stopped(args.model, args.port)
    return DONE


def export(args: argparse.Namespace) -> int:
    if args.public and not args.push:
        raise UsageError("--public is said of a --push: give both")
    from ltf_lite.pipeline.exported import finished, outcome, pushed

    if args.adapter or args.quantize:
        from ltf_lite.pipeline.exporting import export as write

        write(args.folder, args.quantize, args.adapter)
    run = finished(args.folder)
    found = outcome(run)
    sent = pushed(run, args.push, args.public) if args.push else None
    if args.json:
        print_json({**found.as_dict(), "pushed": sent and sent.url})
        return DONE
    tell(_in_words(found))
    if sent:
        tell(f"Pushed:  {sent.url} ({'public' if sent.public else 'private'})")
    return DONE


def _in_words(found: Outcome) -> str:
    lines = [f"GGUF:    {file}  ({_size(file)})" for file in found.gguf]
    if found.adapter:
        lines.append(
            f"Adapter: {found.adapter}  ({_size(found.adapter)}, for a GGUF file of {found.base})"
        )
    lines += [f"Model:   {found.model}  (safetensors)", f"Card:    {found.card}"]
    return "\n".join(lines)


def _size(file: Path) -> str:
    return f"{file.stat().st_size / 2**20:.1f} MiB"
