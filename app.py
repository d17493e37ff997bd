"""Open the app: `python app.py`."""

from ltf_lite.ui.app import main

if __name__ == "__main__":
    raise SystemExit(main())
