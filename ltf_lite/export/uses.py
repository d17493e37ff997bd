"""The part of a model card that says how the model is asked, program by program."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from ltf_lite.export.formats import Exported

PUBLISHER = "ltf-lite"  # LM Studio sorts models by publisher and name
CONTEXT = 2048  # tokens, where llama-cpp-python would take 512
GREEDY = "temperature 0, no penalty on repetition (a penalty of 1)"


def uses(exported: Exported, load_in_4bit: bool = False) -> Iterator[str]:
    """A section for each program, in Markdown; the prompt in them is that of the example.

    `load_in_4bit` says that the adapter was tuned on the base in 4 bits.
    """
    file = exported.asked_file.name
    yield from _section("ltf", "", _ltf(exported, file))
    yield from _section("Python", "python", _python(exported, file))
    yield from _section("llama-cpp-python", "python", _llama_cpp_python(exported, file))
    yield from _section("llama.cpp's llama-server", "", _llama_server(exported, file))
    if exported.lora:
        yield from _lora(exported, load_in_4bit)
    yield from _lm_studio(exported, file)


def _section(title: str, kind: str, body: str) -> Iterator[str]:
    yield f"### {title}\n\n```{kind}\n{body}\n```\n"


def _ltf(exported: Exported, file: str) -> str:
    problem = shlex.quote(exported.problem)
    return (
        f"ltf solve {shlex.quote(exported.task.reference)} {problem} --model {file}\n"
        f"ltf serve {file}"
    )


def _python(exported: Exported, file: str) -> str:
    return (
        "import ltf_lite\n\n"
        f"task = ltf_lite.task({exported.task.reference!r})\n"
        f"with ltf_lite.model({file!r}) as model:\n"
        f"    print(ltf_lite.ask(model, task, {exported.problem!r}).text)"
    )


def _llama_cpp_python(exported: Exported, file: str) -> str:
    stop = f", stop={list(exported.stop)!r}" if exported.stop else ""
    return (
        "from llama_cpp import Llama\n\n"
        f"model = Llama({file!r}, n_ctx={CONTEXT}, verbose=False)\n"
        f"prompt = {exported.prompt!r}\n"
        f"answer = model(prompt, max_tokens={exported.room}, temperature=0{stop})\n"
        'print(answer["choices"][0]["text"])'
    )


def _llama_server(exported: Exported, file: str) -> str:
    asked = {"prompt": exported.prompt, "max_tokens": exported.room, "temperature": 0}
    asked |= {"stop": list(exported.stop)} if exported.stop else {}
    return (
        f"llama-server -m {file} --port 8080\n"
        "curl http://127.0.0.1:8080/v1/completions -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(asked, ensure_ascii=False))}"
    )


def _lora(exported: Exported, load_in_4bit: bool) -> Iterator[str]:
    place = exported.lora.relative_to(exported.folder).as_posix() if exported.lora else ""
    coarse = (
        "\nIt was tuned on the base in 4 bits, so over 16 bits its answers can differ from "
        "those of the files.\n"
    )
    yield (
        "### The adapter alone\n\n"
        f"`{place}` is what was tuned, without the base. llama.cpp lays it over a GGUF file of the "
        "base in 16 or 32 bits:\n\n"
        f"```\nllama-server -m BASE.gguf --lora {place} --port 8080\n```\n"
        f"{coarse if load_in_4bit else ''}"
    )


def _lm_studio(exported: Exported, file: str) -> Iterator[str]:
    place = f"~/.lmstudio/models/{PUBLISHER}/{exported.name}"
    yield (
        "### LM Studio\n\n"
        f"```\nmkdir -p {place} && cp {file} {place}/\n```\n\n"
        f"Then set {GREEDY}, and type the prompt{_typed(exported)} "
        "(this was not tried with LM Studio itself).\n"
    )


def _typed(exported: Exported) -> str:
    """What of a prompt a person types where the frame around it comes from the file."""
    return " without what the chat template puts around it" if exported.frame else ""
