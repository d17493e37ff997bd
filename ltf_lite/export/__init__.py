"""Export: merge the adapter, write one GGUF file, prove that it says what the model says."""

from ltf_lite.export.card import model_card, modelfile
from ltf_lite.export.divergence import divergence
from ltf_lite.export.errors import ExportError
from ltf_lite.export.gguf_file import write_gguf
from ltf_lite.export.merge import merge
from ltf_lite.export.parity import bits_that_fit, greedy_parity, token_parity
from ltf_lite.export.preflight import check_exportable
from ltf_lite.export.quantize import KINDS, quantize, tensor_types

__all__ = [
    "KINDS", "ExportError", "bits_that_fit", "check_exportable", "divergence", "greedy_parity",
    "merge", "model_card", "modelfile", "quantize", "tensor_types", "token_parity", "write_gguf",
]  # fmt: skip
