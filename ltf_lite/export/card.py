"""What goes next to a GGUF file: a model card that says what it is, and a Modelfile for Ollama."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ltf_lite import __version__
from ltf_lite.preset_schema import METHOD_SETTINGS
from ltf_lite.tuning.methods import npo, simpo

WEIGHED = "J = (1 - alpha) · learning + alpha · forgetting"
METHODS = {
    "sft": "Supervised fine-tuning on successes alone",
    "uft": f"Unlikelihood fine-tuning (Ni et al., arXiv 2504.11364): {WEIGHED}",
    "gradient_ascent": "Gradient ascent on failures, descent on successes (Maini et al., arXiv "
    f"2401.06121): {WEIGHED}",
    "npo": f"Negative preference optimization (Zhang et al., arXiv 2404.05868): {WEIGHED}",
    "simpo": "SimPO (Meng et al., arXiv 2405.14734) on pairs of a success and a failure of the "
    "same problem",
    "cpo_simpo": "CPO-SimPO (Xu et al., arXiv 2401.08417; Meng et al., arXiv 2405.14734) on pairs "
    "of a success and a failure of the same problem",
}
CUSTOMARY = {"npo": npo.BETA, "simpo": simpo.BETA, "cpo_simpo": simpo.BETA}


def model_card(
    preset: dict[str, Any], method: str, searched: Sequence[str], files: Sequence[str],
    prompt: str, stop: Sequence[str], answer: dict[str, Any], parity: dict[str, Any],
    rates: dict[str, dict[str, Any]],
) -> str:  # fmt: skip
    """The card in Markdown.

    `preset` is the run's, `method` what it was really tuned by, `searched` names the reasoners of
    its search, `files` the GGUF files, `prompt` is one problem as the model is asked, `answer` the
    test path that the model wrote for it, `rates` the single pass of `base` and `tuned` on the test
    problems.
    """
    task, name = preset["task"], preset["name"]
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
        *_files(parity),
        "",
        "## How it was made",
        "",
        _made(preset, method, searched),
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


def _made(preset: dict[str, Any], method: str, searched: Sequence[str]) -> str:
    """Method, settings and data in words."""
    tuning = {**preset["tuning"]}
    if tuning["beta"] is None:
        tuning["beta"] = CUSTOMARY.get(method)
    own = ", ".join(f"{k} {tuning[k]}" for k in METHOD_SETTINGS[method])
    bits = "QLoRA (the base in 4-bit NF4)" if preset["model"]["load_in_4bit"] else "LoRA"
    return (
        f"{METHODS[method]}{', ' + own if own else ''}; {bits} rank {tuning['rank']}, "
        f"{tuning['steps']} steps of {tuning['batch'] * tuning['accumulation']} successes at "
        f"learning rate {tuning['learning_rate']}. Data: paths that search found on "
        f"{preset['problems']['train']} training problems ({'; '.join(searched)}), each verified "
        "exactly."
    )


def _files(parity: dict[str, Any]) -> list[str]:
    """A table of the files: their size, what they hold, how far they lie from f16."""
    lines = [
        "| file | MiB | weights by type | KL divergence to f16 [95 %], nats a token | largest "
        "| same likeliest token |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    measured = {"n": 0, "tokens": 0}
    for kind, file in parity["files"].items():
        held = ", ".join(f"{t} {100 * n:.1f} %" for t, n in file["types"].items())
        far = ["–", "–", "–"]
        if kind in parity["divergence"]:
            measured = parity["divergence"][kind]
            far = _far(measured)
        lines.append(f"| {kind} | {file['bytes'] / 2**20:.1f} | {held} | {' | '.join(far)} |")
    return [
        *lines,
        "",
        f"Measured at the {measured['tokens']} positions of {measured['n']} harvested paths. "
        "llama.cpp keeps norms and biases in F32, and takes a wider type than a file's name says "
        "for some matrices: those that lose most, and all whose rows are no multiple of 256.",
    ]


def _far(found: dict[str, Any]) -> list[str]:
    """The figures of a divergence as cells of the table."""
    span = "" if found["low"] is None else f" [{found['low']:.2g}, {found['high']:.2g}]"
    same = f"{100 * found['same_top']:.2f} %"
    return [f"{found['mean']:.2g}{span}", f"{found['max']:.2g}", same]


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
