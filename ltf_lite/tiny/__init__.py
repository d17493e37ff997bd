"""The embedded base: its corpus, its tokenizer, its weights."""

KNOWS = ("countdown", "game24")  # the tasks that its corpus is made of
