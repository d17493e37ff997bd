"""`ltf`, and `python -m ltf_lite`."""

import sys


def start() -> int:
    """Run the command of the command line; returns its exit code."""
    try:
        from ltf_lite.app.cli.main import main
    except KeyboardInterrupt:  # a Ctrl-C so early that only this file is there to tell
        print("ltf: stopped", file=sys.stderr)
        return 130
    return main()


if __name__ == "__main__":
    raise SystemExit(start())
