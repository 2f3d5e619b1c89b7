"""Models without Upwell: ONNX that any runtime reads."""

try:
    import onnx  # noqa: F401
    import onnx_ir  # noqa: F401
    import onnxscript  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"upwell.onnx: needs the packages onnx and onnxscript, but {error}; `pip install onnx onnxscript` brings them"
    ) from error

from upwell.onnx.export import export
from upwell.onnx.functions import ExportError

__all__ = ["ExportError", "export"]
