"""Whether the Hugging Face Hub answers, asked before a library would try for a minute."""

from __future__ import annotations

import threading


def reachable(seconds: float | None = None) -> bool:
    """Whether the Hub answers at all, within so many seconds or those of HF_HUB_ETAG_TIMEOUT (10).

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
    asking.join(constants.HF_HUB_ETAG_TIMEOUT if seconds is None else seconds)
    return any(found)


def _answers(address: str) -> bool:
    import httpx

    try:
        return not httpx.head(address).is_server_error
    except Exception:  # of a proxy, a name, a certificate: the Hub's own library would fail as well
        return False
