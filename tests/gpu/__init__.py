"""What only a CUDA device can show; `python -m tests.gpu.table` prints the table of docs/cards.md."""
