"""`python -m ltf_lite` is `ltf`."""

from ltf_lite.app.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
