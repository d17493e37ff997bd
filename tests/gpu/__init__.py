"""What only a CUDA device can show; `python -m tests.gpu.table` prints a table for docs/cards.md."""
