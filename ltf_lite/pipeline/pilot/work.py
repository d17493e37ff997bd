"""The process of a pilot: `python -m ltf_lite.pipeline.pilot.work FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import TypeAdapter

from ltf_lite.core.errors import DONE, FAILED, LtfError
from ltf_lite.core.files import write_json
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.progress import bar, record_to, say
from ltf_lite.pipeline.pilot.jobs import SAID, Order, order_file, result_file
from ltf_lite.pipeline.pilot.measure import pilot
from ltf_lite.pipeline.run.lock import locked, signed
from ltf_lite.tasks import get_task


def work(folder: Path) -> None:
    """Do what the folder's order says, and write down what was found."""
    order = TypeAdapter(Order).validate_json(order_file(folder).read_bytes())
    record_to(RunFolder(folder).progress)
    with bar("pilot", 3) as advance:
        found = pilot(
            get_task(**order.task),
            order.model,
            order.problems,
            order.seed,
            order.dialect,
            order.base,
            advance=advance,
        )
    write_json(result_file(folder), found.as_dict())


def main(folder: Path) -> int:
    try:
        with locked(folder), signed(folder):
            work(folder)
    except LtfError as error:
        say(f"{SAID}{error}")
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    except Exception as error:  # whoever watches has to see an end
        say(f"{SAID}the pilot broke off: {type(error).__name__}: {' '.join(str(error).split())}")
        return FAILED
    return DONE


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
