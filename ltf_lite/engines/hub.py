"""Whether the Hugging Face Hub answers, asked before a library would try for a minute."""

from __future__ import annotations

import os
import threading

from ltf_lite.engines.base import EngineError

PATIENCE = 3.0  # seconds in which the Hub answers, or a person is told that it does not
LIMIT = "HF_HUB_ETAG_TIMEOUT"  # the variable by which a slow network is given more


def reachable() -> bool:
    """Whether the Hub answers at all, within PATIENCE or the seconds of HF_HUB_ETAG_TIMEOUT.

    Where it does not, a model can only come from the Hub's cache on this machine.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    found: list[bool] = []
    # a look-up of a name has no limit of its own
    asking = threading.Thread(
        target=lambda: found.append(_answers(constants.ENDPOINT)), daemon=True
    )
    asking.start()
    own = LIMIT in os.environ
    limit = constants.HF_HUB_ETAG_TIMEOUT
    asking.join(limit if own else min(limit, PATIENCE))
    return any(found)


def at_hand(name: str) -> bool:
    """Whether a model of the Hub can be loaded: it was before, or the Hub answers.

    Asked before torch is imported, which takes longer than to be told no.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError as error:
        raise EngineError(f"{name!r} is no name on the Hugging Face Hub: {error}") from error
    return isinstance(found, str) or reachable()


def _answers(address: str) -> bool:
    import httpx

    try:
        return not httpx.head(address).is_server_error
    except Exception:  # of a proxy, a name, a certificate: the Hub's own library would fail as well
        return False
