#!/bin/bash
# OpenVINO 2026.4.1 on a CPU: operators of float64 are computed in float32, without a warning, also where float32 is asked for as the
# least precision (INFERENCE_PRECISION_HINT f32, EXECUTION_MODE_HINT ACCURACY).
# Seen, of floor(x y) of two float64 numbers, x = 1 - 2^-53 and y = 3 (whose product is just below 3): onnxruntime 1.32.0 gives 2,
# OpenVINO 3.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
"$folder/bin/python" - <<'PYTHON'
import numpy
import onnx
import onnxruntime
import openvino

model = onnx.parser.parse_model("""
    <ir_version: 8, opset_import: ["": 18]>
    graph (double[n] x, double[n] y) => (int64[n] z) { product = Mul(x, y) below = Floor(product) z = Cast<to = 7>(below) }
""")
onnx.checker.check_model(model, full_check=True)
given = {"x": numpy.array([1 - 2.0**-53]), "y": numpy.array([3.0])}
(of_onnxruntime,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)
core = openvino.Core()
options = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}
of_openvino = core.compile_model(core.read_model(model.SerializeToString()), "CPU", options)(given)[0]
print("onnxruntime:", of_onnxruntime, "openvino:", of_openvino)
assert of_onnxruntime.tolist() == [2]
assert of_openvino.tolist() == [3], "OpenVINO computes in float64 now"
PYTHON
