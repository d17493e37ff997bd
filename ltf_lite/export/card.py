"""What goes next to a GGUF file: a model card that says what it is, and a Modelfile for Ollama."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ltf_lite import __version__


def model_card(
    preset: dict[str, Any], searched: Sequence[str], files: Sequence[str], prompt: str,
    stop: Sequence[str], answer: dict[str, Any], parity: dict[str, Any],
    rates: dict[str, dict[str, Any]],
) -> str:  # fmt: skip
    """The card in Markdown.

    `preset` is the run's, `searched` names the reasoners of its search, `files` the GGUF files,
    `prompt` is one problem as the model is asked, `answer` the test path that the model wrote for
    it, `rates` the single pass of `base` and `tuned` on the test problems.
    """
    task, tuning, name = preset["task"], preset["tuning"], preset["name"]
    settings = ", ".join(f"{k} {v}" for k, v in task.items() if k != "name" and v is not None)
    lines = [
        f"# {name}",
        "",
        f"{preset['about']}. Made by ltf_lite {__version__} from `{preset['model']['base']}`, "
        "whose licence goes on to hold for this model.",
        "",
        "## What it does",
        "",
        f"It answers problems of one task, {task['name']} ({settings}), in a single pass. It is no "
        "chat model, and for other questions it was not looked at.",
        "",
        "| model | single pass, test problems |",
        "| --- | --- |",
        *(f"| {model} | {_percent(rate)} |" for model, rate in rates.items()),
        *(f"| {kind} through llama.cpp | {_percent(rate)} |"
          for kind, rate in parity["success"].items()),
        "",
        "## How it was made",
        "",
        "Unlikelihood fine-tuning (Ni et al., arXiv 2504.11364): J = (1 - alpha) · learning + "
        f"alpha · forgetting, alpha {tuning['alpha']}, credit {tuning['credit']}; LoRA rank "
        f"{tuning['rank']}, {tuning['steps']} steps of {tuning['batch']} successes at learning "
        f"rate {tuning['learning_rate']}. Data: paths that search found on "
        f"{preset['problems']['train']} training problems ({'; '.join(searched)}), each "
        "verified exactly.",
        "",
        "## How to ask it",
        "",
        "The prompt, its last line break included, and what the model wrote for it "
        f"({'right' if answer['correct'] else answer['kind']}):",
        "",
        "```",
        *prompt.rstrip("\n").split("\n"),
        *answer["text"].rstrip("\n").split("\n"),
        "```",
        "",
        f"Stop strings besides the end token: {', '.join(map(repr, stop)) or 'none'}. Greedy "
        "decoding (temperature 0).",
        "",
        *(f"- `ltf solve {task['name']} ... --model {file}`" for file in files),
        f"- Ollama: `ollama create {name} -f Modelfile` (the Modelfile was not tried out)",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def modelfile(file: str, stop: Sequence[str], room: int) -> str:
    """A Modelfile that asks the GGUF file as it was tuned: no chat template, greedily."""
    lines = [
        f"FROM ./{file}",
        'TEMPLATE """{{ .Prompt }}\n"""',
        "PARAMETER temperature 0",
        f"PARAMETER num_predict {room}",
        *("PARAMETER stop " + '"' + each.replace("\n", "\\n") + '"' for each in stop),
    ]
    return "\n".join(lines) + "\n"


def _percent(rate: dict[str, Any]) -> str:
    low, high = 100 * rate["low"], 100 * rate["high"]
    return f"{100 * rate['rate']:.1f} % [{low:.1f}, {high:.1f}], n = {rate['n']}"
