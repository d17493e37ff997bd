"""Report: tables and pictures of a run, from its own records."""
