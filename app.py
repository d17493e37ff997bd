"""Open the app: `python app.py`; `python app.py --help` says what it takes."""

import sys

from ltf_lite.app.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main(["app", *sys.argv[1:]]))
