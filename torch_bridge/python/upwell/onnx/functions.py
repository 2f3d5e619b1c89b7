"""Operators of torch's graph as calls of ONNX functions: inputs and attributes of the call, and the function's body."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import onnx_ir as ir
import torch
from onnx.defs import OpSchema
from onnx_ir.convenience import convert_attributes
from onnxscript import opset18, values

from upwell.onnx.formulas import IGNORED
from upwell.onnx.term import FLOAT, INT, Body, Term

DOMAIN, VERSION = "upwell", 1
SIZES = ("size", "output_size")  # arguments that a formula takes as numbers known at run time, whether or not they are


class ExportError(ValueError):
    """A model that ONNX, or its runtimes, cannot say; the message names the operator and the reason."""


class Functions:
    """The functions of a model. Calls whose bodies are the same share one; where a name has several bodies (of other options),
    all but the first have an `overload` too: 2, 3, ..."""

    def __init__(self):
        self.made: list[ir.Function] = []
        self._overloads: dict[str, dict[bytes, str]] = {}

    def translation(self, operator: torch._ops.OpOverload, formula: Callable) -> Callable:
        """What torch's exporter calls for a node of operator, with the values of its arguments."""

        def translate(*given, **named):
            return self._call(operator, formula, given, named)

        return translate

    def _call(self, operator: torch._ops.OpOverload, formula: Callable, given: Sequence, named: dict):
        name, body = formula.__name__, Body()
        inputs: dict[str, ir.Value | None] = {}
        attributes: dict[str, object] = {}
        taken: list[object] = []
        for argument, value in _bound(operator, given, named).items():
            if isinstance(value, ir.Value):
                _check_dtype(name, argument, value)
                inputs[argument] = value
                taken.append(_given(body, argument, FLOAT, value.shape))
            elif _is_known_at_run_time(value):
                inputs[argument] = _as_vector(value)
                vector = _given(body, argument, INT, None)
                taken.append([vector.gather(body.constant(i, INT), 0) for i in range(len(value))])
            else:
                if value is not None:
                    attributes[argument] = value
                taken.append([body.constant(length, INT) for length in value] if argument in SIZES else value)
        made = formula(*taken)
        made = made if isinstance(made, tuple) else (made,)
        overload = self._kept(formula, body, list(inputs), attributes, made)
        return _record(name, overload, inputs, attributes, len(made))

    def _kept(
        self, formula: Callable, body: Body, inputs: Sequence[str], attributes: dict[str, object], made: Sequence[Term]
    ) -> str:
        """Keeps the function, unless there is one like it -> its overload."""
        name = formula.__name__
        graph = ir.Graph(
            [body.inputs[argument].value for argument in inputs],
            [term.value for term in made],
            nodes=body.nodes,
            opset_imports={"": opset18.version},
            name=name,
        )
        declared = [ir.Attr(attribute, ir.AttributeType.UNDEFINED, None) for attribute in attributes]
        function = ir.Function(DOMAIN, name, graph=graph, attributes=declared)
        function.doc_string = inspect.cleandoc(formula.__doc__)
        ir.passes.common.RemoveUnusedNodesPass()(ir.Model(ir.Graph([], [], nodes=[]), ir_version=10, functions=[function]))
        overloads = self._overloads.setdefault(name, {})
        key = ir.to_proto(function).SerializeToString(deterministic=True)
        if key not in overloads:
            overloads[key] = function.overload = str(len(overloads) + 1) if overloads else ""
            self.made.append(function)
        return overloads[key]


def _bound(operator: torch._ops.OpOverload, given: Sequence, named: dict) -> dict[str, object]:
    """Argument -> value, in the schema's order."""
    arguments = operator._schema.arguments
    bound = {each.name: each.default_value for each in arguments if each.has_default_value()}
    bound |= dict(zip((each.name for each in arguments), given)) | named
    return {each.name: bound[each.name] for each in arguments if each.name not in IGNORED}


def _check_dtype(operator: str, argument: str, value: ir.Value) -> None:
    if value.dtype != FLOAT:
        dtype = "unknown" if value.dtype is None else value.dtype.name.lower()
        raise ExportError(f"{operator}: {argument} should be float32 to be exported but is {dtype}")


def _given(body: Body, name: str, dtype: ir.DataType, shape: ir.Shape | None) -> Term:
    body.inputs[name] = Term(body, ir.Value(name=name), dtype, shape)
    return body.inputs[name]


def _is_known_at_run_time(value: object) -> bool:
    return isinstance(value, Sequence) and any(isinstance(each, ir.Value) for each in value)


def _as_vector(numbers: Sequence[int | ir.Value]) -> ir.Value:
    """In the graph around: int64 [n]."""
    one = opset18.Constant(value_ints=[1])
    parts = [
        opset18.Reshape(each, one) if isinstance(each, ir.Value) else opset18.Constant(value_ints=[each]) for each in numbers
    ]
    return opset18.Concat(*parts, axis=0)


def _record(name: str, overload: str, inputs: dict[str, ir.Value | None], attributes: dict[str, object], outputs: int):
    """Writes the call into the graph that torch's exporter is making -> its outputs."""
    types = {argument: f"tensor({'int64' if value.dtype == INT else 'float'})" for argument, value in inputs.items()}
    schema = OpSchema(
        name,
        DOMAIN,
        VERSION,
        inputs=[OpSchema.FormalParameter(argument, kind) for argument, kind in types.items()],
        outputs=[OpSchema.FormalParameter(f"output{i}", "tensor(float)") for i in range(outputs)],
        attributes=[
            OpSchema.Attribute(attribute.name, OpSchema.AttrType(attribute.type.value), "")
            for attribute in convert_attributes(attributes)
        ],
    )
    made = values.Op(values.Opset(DOMAIN, VERSION), name, schema)(*inputs.values(), **attributes)
    (made if outputs == 1 else made[0]).producer().overload = overload
    return made
