#!/bin/bash
# OpenVINO 2026.4.1, reading ONNX: a model's own functions (ModelProto.functions, ONNX 1.10) are not looked at, so that a model
# that calls one is refused, although its body is standard. (onnx.inliner writes bodies into the graph; onnxruntime needs no
# such thing.)
# Seen, of y = twice(x) with twice(x) = x + x: onnxruntime 1.32.0 gives 2 x; OpenVINO raises "No conversion rule found for
# operations: finding.twice", and gives 2 x where the function is inlined.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
"$folder/bin/python" - <<'PYTHON'
import numpy
import onnx.inliner
import onnxruntime
import openvino

model = onnx.parser.parse_model("""
    <ir_version: 8, opset_import: ["": 18, "finding": 1]>
    graph (float[n] x) => (float[n] y) { y = finding.twice(x) }
    <domain: "finding", opset_import: ["": 18]>
    twice (x) => (y) { y = Add(x, x) }
""")
onnx.checker.check_model(model, full_check=True)
x = numpy.arange(3, dtype=numpy.float32)
(made,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
assert (made == 2 * x).all()
print("onnxruntime: right")


def of_openvino(model):
    core = openvino.Core()
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU")(x)[0]


assert (of_openvino(onnx.inliner.inline_local_functions(model)) == 2 * x).all()
print("openvino, inlined: right")
try:
    of_openvino(model)
except RuntimeError as error:
    assert "finding.twice" in str(error), error
    print("openvino:", next(line for line in str(error).splitlines() if "finding.twice" in line))
else:
    raise SystemExit("OpenVINO reads functions now")
PYTHON
