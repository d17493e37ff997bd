"""What only a CUDA device can show; `python -m tests.gpu.table` prints docs/cards.md's table."""
