"""Writes a model as a file of ONNX."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir
import torch
from onnxscript import opset18
from torch import Tensor, nn

from upwell.explained import type_of
from upwell.nn.check import check
from upwell.onnx.formulas import FORMULAS, NOT_SAID, OF_TORCH
from upwell.onnx.functions import DOMAIN, VERSION, ExportError, Functions

FREE = (0, 2, 3)  # axes of a map


def export(
    model: nn.Module,
    args: Sequence[Tensor],
    path: str | os.PathLike,
    *,
    dynamic: object = True,
    functions: bool = True,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> None:
    """Writes model to path as ONNX (opset 18) that needs nothing of Upwell to run.

    Each operator of Upwell is a function of its name in the domain "upwell", whose body is standard ONNX: a runtime that has
    a kernel of that name can take it instead.

    Args:
        model: in evaluation mode, float32.
        args: what it is called with; an axis of length 1 stays of length 1.
        path: of the file. It appears when all of it is written, and not if anything fails.
        dynamic: True: batch, height and width of each map (a tensor of 4 axes) are free where the model leaves them so. False:
            all sizes are those of args. Else torch.export's dynamic_shapes.
        functions: False: the bodies stand in the graph itself, for runtimes that read no functions of a model, as OpenVINO's.
        input_names, output_names: in the file; those of forward's arguments, and torch's, if None.

    Raises:
        ExportError: of an operator that has no formula in ONNX, or not for these tensors; it names the operator and the reason.
        ValueError: of a model in training mode, args that are no tuple, and a path to where nothing can be.
    """
    check(not model.training, "export: model should be in evaluation mode, as model.eval() makes it, but is in training mode")
    path = Path(path)
    check(isinstance(args, (tuple, list)), f"export: args should be a tuple of what model is called with but is {type_of(args)}")
    check(path.absolute().parent.is_dir(), f"export: path should be in a folder that exists but is {path}")
    args = tuple(args)
    with torch.no_grad():
        program = torch.export.export(model, args, dynamic_shapes=_dynamic_shapes(args, dynamic))
    made = Functions()
    table = _translations(program, made)
    try:
        exported = torch.onnx.export(
            program,
            dynamo=True,
            custom_translation_table=table,
            opset_version=opset18.version,
            input_names=input_names,
            output_names=output_names,
            verbose=False,
        ).model
    except torch.onnx.errors.OnnxExporterError as error:
        raise _reason(error) from error
    ir.passes.common.ClearMetadataAndDocStringPass()(exported)  # of torch's: stack traces, with paths of this machine
    for function in made.made:
        exported.functions[function.identifier()] = function
    exported.opset_imports[DOMAIN] = VERSION
    if not functions:
        ir.passes.common.InlinePass()(exported)
        del exported.opset_imports[DOMAIN]
    _write(exported, path)


def _dynamic_shapes(args: tuple[Tensor, ...], dynamic: object) -> object:
    if not isinstance(dynamic, bool):
        return dynamic
    if not dynamic:
        return None
    is_map = [isinstance(each, Tensor) and each.dim() == 4 for each in args]
    return tuple(dict.fromkeys(FREE, torch.export.Dim.AUTO) if free else None for free in is_map)


def _translations(program: torch.export.ExportedProgram, made: Functions) -> dict:
    """For torch's exporter: every operator of Upwell in the program, and those of torch that it says otherwise. ExportError of
    one without a formula."""
    table = {}
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    for node in (node for graph in graphs for node in graph.nodes):
        operator = node.target
        if not isinstance(operator, torch._ops.OpOverload):
            continue
        name = operator._schema.name.partition("::")[2]
        if operator.namespace == "aten":
            formula = OF_TORCH.get(name)
        elif operator.namespace == "upwell":
            formula = FORMULAS.get(name)
            if formula is None:
                reason = NOT_SAID.get(name, f"there is none for it; those that have one: {', '.join(sorted(FORMULAS))}")
                raise ExportError(f"{name}: has no formula in ONNX: {reason}")
        else:
            continue
        if formula is not None:
            table[operator] = made.translation(operator, formula)
    return table


def _reason(error: BaseException) -> ExportError:
    """Torch wraps an error in others: ours as it is, else the innermost."""
    while error.__cause__ is not None and not isinstance(error, ExportError):
        error = error.__cause__
    return error if isinstance(error, ExportError) else ExportError(f"export: {error}")


def _write(model: ir.Model, path: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        ir.save(model, name)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
