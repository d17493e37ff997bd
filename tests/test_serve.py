"""`ltf serve`: whoever asks as OpenAI's clients do gets what the tuned model learnt to say."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from pathlib import Path

import httpx
import pytest

import ltf_lite
from ltf_lite.app import server
from ltf_lite.app.cli.main import main
from ltf_lite.engines import resolve
from ltf_lite.engines.llama import trial
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.common import problems_of
from tests.llama_server import free_port
from tests.served import ended, served
from tests.test_chat import run as chat_run  # noqa: F401 - a fixture
from tests.test_documents import python_blocks

for needed in server.NEEDS:
    pytest.importorskip(needed, reason="what llama-cpp-python's server needs")

PROBLEM, PROMPT = "7 12 20 31 -> 46", "46:31,20,12,7\n"


@pytest.fixture(scope="module")
def tuned():
    """`tiny-tuned`, served."""
    with served("tiny-tuned") as found:
        yield found


def learnt(model, task, problem) -> str:
    """What `ltf solve` is answered."""
    with ltf_lite.model(model) as opened:
        return ltf_lite.ask(opened, task, problem).text


@pytest.mark.slow
def test_a_chat_message_is_asked_in_the_learnt_prompt(tuned):
    wanted = learnt("tiny-tuned", ltf_lite.task("countdown"), PROBLEM)
    assert wanted.startswith("31+20=51,12,7\n")
    assert tuned.reply(PROBLEM) == wanted
    parts = [{"type": "text", "text": PROBLEM}]
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "1 2 -> 3"}]
    turns += [{"role": "assistant", "content": "1+2=3"}, {"role": "user", "content": parts}]
    answer = tuned.post("/chat/completions", messages=turns).json()
    assert answer["choices"][0]["message"]["content"] == wanted
    assert answer["usage"]["prompt_tokens"] == 11  # the last problem alone, as it was learnt


def test_a_prompt_is_gone_on_with(tuned):
    answer = tuned.post("/completions", prompt=PROMPT).json()["choices"][0]
    assert answer["text"] == learnt("tiny-tuned", ltf_lite.task("countdown"), PROBLEM)
    assert answer["finish_reason"] == "stop"  # not after 16 tokens, as the server does by itself


def test_what_a_request_says_is_kept(tuned):
    short = tuned.chat(PROBLEM, max_tokens=3).json()["choices"][0]
    assert (short["message"]["content"], short["finish_reason"]) == ("31+20", "length")
    warm = {tuned.reply(PROBLEM, temperature=2.0, seed=seed) for seed in range(6)}
    assert len(warm) > 1


def test_an_answer_is_streamed(tuned):
    body = {"messages": [{"role": "user", "content": PROBLEM}], "stream": True}
    with httpx.stream(
        "POST", f"{tuned.url}/chat/completions", json=body, timeout=60, trust_env=False
    ) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert lines.pop() == "[DONE]"
    parts = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines]
    assert len([part for part in parts if part]) > 10
    assert "".join(parts) == tuned.reply(PROBLEM)


def test_openai_s_own_client_is_answered(tuned):
    openai = pytest.importorskip("openai", reason="OpenAI's own client")
    with openai.OpenAI(base_url=tuned.url, api_key="none") as client:
        model = client.models.list().data[0].id
        messages = [{"role": "user", "content": PROBLEM}]
        told = client.chat.completions.create(model=model, messages=messages)
        stream = client.chat.completions.create(model=model, messages=messages, stream=True)
        parts = [part.choices[0].delta.content or "" for part in stream]
        plain = client.completions.create(model=model, prompt=PROMPT)
        with pytest.raises(openai.BadRequestError, match="must be a whole number"):
            client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "hello"}]
            )
    wanted = learnt("tiny-tuned", ltf_lite.task("countdown"), PROBLEM)
    assert told.choices[0].message.content == wanted
    assert "".join(parts) == wanted
    assert plain.choices[0].text == wanted


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_problem_is_refused_with_the_sentence_of_the_task(tuned, stream):
    answer = tuned.chat("hello", stream=stream)
    assert answer.status_code == 400
    assert "must be a whole number from 1 to 9999, not 'hello'" in answer.json()["error"]["message"]


def test_the_request_of_the_documents_is_answered(tuned, capsys):
    body = python_blocks("after-training.md")[0]
    exec(compile(body.replace("http://127.0.0.1:8080/v1", tuned.url), "docs", "exec"), {})
    assert capsys.readouterr().out.strip() == tuned.reply(PROBLEM).strip()


@pytest.mark.slow
def test_it_says_where_it_is_and_ctrl_c_ends_it_in_one_sentence(tmp_path):
    with served("tiny-tuned") as found:
        assert f"countdown in the dialect compact is at {found.url}" in found.said
        found.reply(PROBLEM)
        found.process.send_signal(signal.SIGINT)
        code, said = ended(found.process, 30)
        assert (code, said.splitlines()[-1]) == (130, "ltf: stopped")
        assert "Traceback" not in said


@pytest.mark.slow
def test_a_run_is_served_with_its_own_task(small_run):
    run = Run.load(small_run)
    problem = problems_of(run, "test")[0]
    with served(small_run) as found:
        assert "small.q8_0.gguf" in found.said
        assert found.reply(problem.text) == learnt(small_run, run.preset.task, problem)


@pytest.mark.slow
def test_a_chat_is_asked_through_its_template_with_its_system_text(chat_run):  # noqa: F811
    run = Run.load(chat_run)
    problem = problems_of(run, "test")[0]
    with ltf_lite.model(chat_run) as model:
        prompt = run.preset.task.prompt(problem, "chat")
        (ids,) = model.engine.asked([prompt])
        text = ltf_lite.ask(model, run.preset.task, problem, max_tokens=8).text
    with served(chat_run / "gguf" / "chatty.q8_0.gguf") as found:  # a file knows its run
        asked = found.chat(problem.text, max_tokens=8).json()
        assert asked["usage"]["prompt_tokens"] == len(ids)
        assert asked["choices"][0]["message"]["content"] == text
        same = found.chat(prompt, max_tokens=8).json()  # the rules are not said twice
        assert same["usage"]["prompt_tokens"] == len(ids)


# -- refusals ------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_one_sentence(capsys):
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert main(["serve", "tiny-tuned", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == (
        f"ltf: cannot listen at port {port}: Address already in use; name another with --port"
    )


def test_what_is_no_gguf_file_is_one_sentence(capsys, tmp_path):
    for model, words in (("tiny-base", "is a model folder"), ("http://x/v1", "is a server")):
        assert main(["serve", model, "--port", str(free_port())]) == 2
        assert words in capsys.readouterr().err
    assert main(["serve", str(tmp_path / "no.gguf"), "--port", str(free_port())]) == 1
    assert "there is no GGUF file" in capsys.readouterr().err


def test_packages_that_are_not_there_are_one_sentence(monkeypatch, capsys):
    gone = ("uvicorn", "sse_starlette")
    monkeypatch.setattr(server, "find_spec", lambda name: None if name in gone else name)
    assert main(["serve", "tiny-tuned"]) == 2
    said = capsys.readouterr().err
    assert '(uvicorn, sse-starlette): pip install -e ".[serve]"' in said


@pytest.mark.parametrize("plainly", [True, False])
def test_a_file_that_kills_is_opened_plainly(plainly, tmp_path, monkeypatch):
    from llama_cpp.server import app as theirs

    from ltf_lite.app.server.learnt import learnt as asked_of
    from ltf_lite.app.server.run import application, close

    file = Path(shutil.copy(resolve("tiny-tuned").place, tmp_path))
    monkeypatch.setitem(trial.survived, trial.mark(file), plainly)
    monkeypatch.setenv("CONFIG_FILE", str(tmp_path / "another's.yaml"))
    application(asked_of(str(file)))
    assert theirs._llama_proxy().model_params.use_extra_bufts is not plainly
    close()
