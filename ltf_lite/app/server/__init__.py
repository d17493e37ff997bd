"""`ltf serve`: a tuned GGUF file behind llama-cpp-python's own server, which speaks as OpenAI's.

Nothing of that server is imported here: what it needs is an extra.
"""

from __future__ import annotations

from importlib.util import find_spec

from ltf_lite.core.errors import UsageError

HOST = "127.0.0.1"
PORT = 8080
NEEDS = ("fastapi", "uvicorn", "sse_starlette", "starlette_context", "pydantic_settings")


def serve(model: str, port: int = PORT) -> None:
    """Serve the GGUF file that a reference means on this machine alone, until it is interrupted.

    Raises UsageError where packages are missing, the port is taken, or the reference is no GGUF
    file, and EngineError where it can't be opened.
    """
    if lacking := [name.replace("_", "-") for name in NEEDS if find_spec(name) is None]:
        raise UsageError(
            f"llama-cpp-python's server needs packages that are not installed "
            f'({", ".join(lacking)}): pip install -e ".[serve]"'
        )
    from ltf_lite.app.server.run import run

    run(model, port)
