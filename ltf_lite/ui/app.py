"""The app: one problem, answered in a single pass and by search, side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from ltf_lite.engines import TINY_BASE, Engine, EngineError, open_engine
from ltf_lite.solving import BEST_OF_N, SINGLE_PASS, Asking, answers, typed_problem
from ltf_lite.tasks import TASKS, TaskError, get_task
from ltf_lite.threads import wait_briefly

EXAMPLES = [["countdown", "25 5 5 33", "27"], ["countdown", "7 12 20 31", "46"],
            ["game24", "3 3 8 8", "24"]]  # fmt: skip
MOST_SAMPLES = 128


def models(runs: Path) -> list[str]:
    """The models that can be chosen: every GGUF file of a run, and the embedded base."""
    return [*sorted(str(file) for file in runs.glob("*/gguf/*.gguf")), TINY_BASE]


@lru_cache(maxsize=4)
def _engine(model: str) -> Engine:
    return open_engine(model)


def in_words(answer: dict[str, Any], title: str) -> str:
    """One answer as Markdown: solved or not and why, the path, and what it cost."""
    verdict = answer["verdict"]
    state = "solved" if verdict["correct"] else f"not solved: {verdict['kind']}"
    return (
        f"### {title}: {state}\n\n```\n{answer['text'].strip()}\n```\n\n{verdict['message']}\n\n"
        f"**{1000 * answer['seconds']:.0f} ms**, {answer['tokens']} tokens, "
        f"{answer['paths']} path{'s' if answer['paths'] > 1 else ''}"
    )


def compare(task_name: str, numbers: str, target: str, model: str, allowed: Sequence[str], n: int):
    """Yield the two panes, the single pass first, since it is there first."""
    try:
        if model not in allowed:
            raise TaskError("choose one of the models that are listed")
        task = get_task(task_name)
        problem, engine = typed_problem(task, numbers, target), _engine(model)
        (single,) = answers([problem], task, engine, Asking(SINGLE_PASS))
        left = in_words(single, "Single pass")
        yield left, "searching …", ""
        n = min(max(2, int(n)), MOST_SAMPLES)
        (search,) = answers([problem], task, engine, Asking(BEST_OF_N, n))
        ratio = search["seconds"] / single["seconds"]
        title = f"Best of {n}, the verifier picks"
        yield left, in_words(search, title), f"## Search took {ratio:.1f} times as long"
    except (TaskError, EngineError) as error:
        yield f"**{error}**", "", ""


def build(runs: Path) -> gr.Blocks:
    """The page over the models of a folder of runs."""
    found = models(runs)
    with gr.Blocks(title="ltf_lite") as page:
        gr.Markdown(
            "# Search and single pass, side by side\nThe same model answers the same problem twice."
        )
        with gr.Row():
            task = gr.Dropdown(list(TASKS), value="countdown", label="Task", elem_id="task")
            numbers = gr.Textbox("25 5 5 33", label="Numbers", elem_id="numbers", max_length=60)
            target = gr.Textbox("27", label="Target", elem_id="target", max_length=9)
        with gr.Row():
            model = gr.Dropdown(found, value=found[0], label="Model", elem_id="model")
            samples = gr.Slider(2, MOST_SAMPLES, 32, step=1, label="Samples of the search")
        button = gr.Button("Compare", variant="primary", elem_id="compare")
        ratio = gr.Markdown(elem_id="ratio")
        with gr.Row():
            left, right = gr.Markdown(elem_id="single"), gr.Markdown(elem_id="search")
        gr.Examples(EXAMPLES, [task, numbers, target])

        def run(task_name, typed, aim, chosen, n):
            yield from compare(task_name, typed, aim, chosen, found, n)

        button.click(run, [task, numbers, target, model, samples], [left, right, ratio],
                     concurrency_limit=1)  # fmt: skip
    return page


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the runs are")
    parser.add_argument("--port", type=int, default=7860)
    args = parser.parse_args(argv)
    wait_briefly()
    build(args.runs).launch(server_name="127.0.0.1", server_port=args.port, share=False)
    return 0
