"""Export: merge the adapter, write one GGUF file, prove that it says what the model says.

Its functions are imported from their modules: `export.merge.merge`, `export.gguf.write`,
`export.gguf.parity`, `export.card`. Nothing heavy is imported here.
"""

from ltf_lite.export.errors import ExportError

__all__ = ["ExportError"]
