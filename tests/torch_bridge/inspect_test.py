"""`upwell inspect`: the cost model against torch's counter, the paper's tables and figures found by hand."""

import json
import re
import sys
import types
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import upwell
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from upwell.__main__ import main
from upwell.inspect.reassembly import matrix, operators
from upwell.inspect.resfu import PAPER, PAPER_BILINEAR, extras, stages, totals
from upwell.inspect.setting import Setting
from upwell.inspect.signature import signatures

SMALL = Setting(dim_y=5, dim_x=12, embedding_dim=16, image_size=48, feature_stride=8, ratio=3, radius=5)
MODEL = {stage.name: stage for stage in stages(Setting())}
PIXELS, LOW_PIXELS = 128 * 128, 32 * 32


def published(s: Setting, y: Tensor, x: Tensor) -> Tensor:
    """ReSFU up to the scores [1, K*K, H, W], written plainly, without what counts nothing (biases, ReLUs)."""
    q = F.conv2d(F.group_norm(y, 1), torch.zeros(s.embedding_dim, s.dim_y, 1, 1))
    k = F.conv2d(F.group_norm(x, 1), torch.zeros(s.embedding_dim, s.dim_x, 1, 1))
    k = F.interpolate(k, q.shape[2:], mode="bilinear")
    blur = torch.zeros(s.embedding_dim, 1, 3, 3)
    q_gs = F.conv2d(F.pad(q, (1, 1, 1, 1), mode="replicate"), blur, groups=s.embedding_dim)
    return pcdc(s, k, guided_filter(s, q, k)) + pcdc(s, q_gs, q)


def guided_filter(s: Setting, I: Tensor, p: Tensor) -> Tensor:
    full, step = I, s.gf_scale
    I, p = I[:, :, ::step, ::step], p[:, :, ::step, ::step]
    count, mean_I, mean_p, mean_Ip, mean_II = (box(s, m) for m in (torch.ones_like(I), I, p, I * p, I * I))
    a = (mean_Ip - mean_I * mean_p) / (mean_II - mean_I * mean_I + 1e-3)
    a, b = box(s, a) / count, box(s, mean_p - a * mean_I) / count
    if step > 1:
        a, b = (F.interpolate(m, full.shape[2:], mode="bilinear") for m in (a, b))
    return a * full + b


def box(s: Setting, m: Tensor) -> Tensor:
    R, C = s.radius // s.gf_scale, m.shape[1]
    rows = F.conv2d(m, torch.ones(C, 1, 2 * R + 1, 1), padding=(R, 0), groups=C)
    return F.conv2d(rows, torch.ones(C, 1, 1, 2 * R + 1), padding=(0, R), groups=C)


def pcdc(s: Setting, k: Tensor, q: Tensor) -> Tensor:
    reach, L = s.ratio * (s.kernel // 2), s.difference_channels
    weight = torch.zeros(L, s.embedding_dim // s.groups, s.kernel, s.kernel)
    k = F.pad(F.group_norm(k, 8), (reach,) * 4, mode="replicate")
    key = F.conv2d(k, weight, dilation=s.ratio, groups=s.groups)
    v = key - F.conv2d(F.group_norm(q, 8), weight.sum((2, 3), keepdim=True), groups=s.groups)
    hidden = F.conv2d(v, torch.zeros(128, L // s.groups, 1, 1), groups=s.groups)
    return F.conv2d(F.group_norm(hidden, 8), torch.zeros(s.kernel**2, 128, 1, 1))


def flops_per_element(flops: int):
    return lambda *_, out_shape, **__: flops * torch.Size(out_shape).numel()


def norm_flops(shape, *_, **__) -> int:
    return 2 * 5 * torch.Size(shape).numel()


VARIED = [{}, {"gf_scale": 1}, {"kernel": 5, "groups": 2}, {"layout": "paper"}]


@pytest.mark.parametrize("changes", VARIED, ids=str)
def test_published_count_is_that_of_torch(changes):
    """torch's counter takes 2 FLOPs a multiply-add; norms and upsamplings it counts as told."""
    s = Setting(**{**vars(SMALL), **changes})
    counts = {
        torch.ops.aten.native_group_norm: norm_flops,
        torch.ops.aten.upsample_bilinear2d: flops_per_element(2 * 4),
    }
    with FlopCounterMode(display=False, custom_mapping=counts) as counter, torch.no_grad():
        published(s, torch.zeros(1, s.dim_y, s.high, s.high), torch.zeros(1, s.dim_x, s.low, s.low))
    assert 2 * totals(stages(s)).published.paper == counter.get_total_flops()


@pytest.mark.parametrize("setting", PAPER, ids=str)
def test_paper_is_reproduced(setting):
    """All rows of Table VIII, and so ReSFU's of Table IX, to the rounding of two figures."""
    kernel, embedding_dim, groups = setting
    row = extras(Setting(kernel=kernel, embedding_dim=embedding_dim, groups=groups))[1]
    mine = row.cost.paper / 1e9, row.parameters / 1e6
    for extra, paper, bilinear in zip(mine, PAPER[setting], PAPER_BILINEAR):
        assert extra == pytest.approx(paper - bilinear, abs=0.0101)


def test_parameters_are_those_of_the_layers():
    block = 9216 + 128 + 64 + 4224 + 256 + 1161  # weight, bias, norm, compressor 1, hidden norm, compressor 2
    assert Setting().parameters == 2 * 384 + 2 * 32 + 33 * 32 + 385 * 32 + 2 * block
    stem = nn.Sequential(nn.Conv2d(3, 64, 3), nn.GroupNorm(8, 64), nn.ReLU(), nn.Conv2d(64, 32, 3))
    added = sum(parameter.numel() for parameter in stem.parameters())
    assert extras(Setting())[1].parameters == Setting().parameters + added


def test_bytes_found_by_hand():
    query, low = 4 * 32 * PIXELS, 4 * 128 * 34 * 34
    assert MODEL["norm x"].published.bytes == 2 * 4 * 384 * LOW_PIXELS
    assert MODEL["gaussian"].published.bytes == query + 2 * 4 * 32 * 130 * 130 + query
    assert MODEL["gaussian"].rewritten.bytes == 0
    # The filter reads the guide and the low-res key, and writes a map as large as the guide.
    assert MODEL["guided filter"].rewritten.bytes == 2 * query + 4 * 32 * LOW_PIXELS
    assert MODEL["norm y"].rewritten.bytes == query and MODEL["upsample key"].rewritten.bytes == 0
    padded = 4 * 32 * 36 * 36
    key = MODEL["semantic: convolved key"].rewritten.bytes
    assert key == 4 * 32 * LOW_PIXELS + (4 * 32 * LOW_PIXELS + padded) + (padded + low) + 2 * low
    assert MODEL["semantic: compressor 2"].rewritten.bytes == 4 * 9 * PIXELS
    scores, output = 4 * 9 * PIXELS, 4 * 384 * PIXELS
    assert MODEL["FNS"].rewritten.bytes == 3 * scores + scores + 4 * 384 * LOW_PIXELS + output


def test_arithmetic_found_by_hand():
    # Low-res convolution, statistics in closed form, and twice 2 x 2 cells for each of 128 channels of a pixel.
    semantic = 128 * 34 * 34 * 8 * 9 + 8 * 32 * LOW_PIXELS + 2 * 4 * 128 * PIXELS
    assert MODEL["semantic: convolved key"].rewritten.multiply_adds == semantic
    assert MODEL["detail: convolved key"].rewritten.multiply_adds == 3 * 32 * PIXELS + 2 * 128 * 72 * PIXELS
    # Softmax; 3 rows of 3 taps to 2 cells each, 4 columns of 3 rows likewise; divided by the sum.
    weights = 3 * 9 + 3 * 3 * 2 + 4 * 3 * 2 + 16
    assert MODEL["FNS"].rewritten.multiply_adds == PIXELS * (9 + weights + 16 * 384)
    assert MODEL["FNS"].published.multiply_adds == PIXELS * (9 + 9 + 4 * 9 + 36 * 384)


def test_guided_filter_costs_the_same_at_every_radius():
    small, large = ({row.name: row for row in stages(Setting(radius=R))}["guided filter"] for R in (2, 64))
    assert small.rewritten == large.rewritten
    assert small.published.multiply_adds < large.published.multiply_adds


def printed(capsys, *arguments: str) -> str:
    main(["inspect", *arguments])
    return capsys.readouterr().out


def test_table_fits_a_terminal(capsys):
    lines = printed(capsys, "resfu").splitlines()
    assert max(map(len, lines)) <= 120
    assert [line.split("  ")[0] for line in lines[4 : 4 + len(MODEL)]] == list(MODEL)


def test_documentation_shows_what_is_printed(capsys):
    text = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text()
    assert printed(capsys, "resfu") in text
    assert printed(capsys, "fns") in text


def test_torchs_counter_counts_the_window_of_every_direction():
    value = torch.zeros(2, 3, 4, 5, requires_grad=True)
    logits = torch.zeros(2, 9, 8, 10, requires_grad=True)
    with FlopCounterMode(display=False, custom_mapping=upwell.flop_formulas()) as counter:
        upwell.ops.fns(value, logits, 3).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 4**2 * (2 * 3 * 8 * 10)
    with FlopCounterMode(display=False, custom_mapping=upwell.flop_formulas()) as counter:
        upwell.ops.bilinear(value, (6, 7)).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * 2**2 * (2 * 3 * 6 * 7)


def test_json_adds_up(capsys):
    found = json.loads(printed(capsys, "resfu", "--json", "--kernel", "5"))
    assert found["setting"]["kernel"] == 5
    for when in ("published", "rewritten"):
        for figure, whole in found["total"][when].items():
            assert whole == sum(stage[when][figure] for stage in found["stages"])


@pytest.mark.parametrize(
    "arguments, figures",
    [
        (["fns"], (9, "4 x 4", 36, 16, 1.0)),
        (["fns", "--kernel", "5", "--ratio", "2"], (25, "6 x 6", 100, 36, 9.0)),
        (["carafe"], (25, "5 x 5", 25, 25, 1.5625)),
        (["bilinear"], (1, "2 x 2", 4, 4, 0.25)),
        (["nearest", "--ratio", "2"], (1, "1 x 1", 1, 1, 0.25)),
    ],
)
def test_window_of_taps(capsys, arguments, figures):
    found = json.loads(printed(capsys, *arguments, "--json"))
    per_element = "multiply-adds per output element, {}"
    labels = ["taps", "window", per_element.format("as written"), per_element.format("lowered")]
    labels.append("window cells per output element, each shared by ratio x ratio")
    assert tuple(found[label] for label in labels) == figures


def test_the_arguments_weights_and_border_of_an_operator_are_shown(capsys):
    found = json.loads(printed(capsys, "carafe", "--json"))
    assert found["arguments"] == "value [N, C, h, w], logits [N, G*K*K, H, W]"
    assert (found["weights"], found["border"]) == ("softmax", "zero or mask")
    assert found["kernels built for"].startswith("3, 5, 7")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["cafare"], r"'cafare' \(choose from (?=.*resfu)(?=.*fns)(?=.*carafe)(?=.*bilinear).*nearest"),
        (["resfu", "--kernel", "4"], r"inspect: kernel should be one of \[3, 5, 7.*but is 4\n"),
        (["resfu", "--kernel", "31"], r"inspect: kernel should be one of \[3, 5, 7.*but is 31\n"),
        (["fns", "--kernel", "31"], r"fns: kernel should be one of \[3, 5, 7.*upwell.build compiles others.*but is 31\n"),
        (["carafe", "--matrix", "--kernel", "31"], r"carafe: kernel should be one of \[3, 5, 7.*but is 31\n"),
        (["resfu", "--feature-stride", "7"], "feature_stride should divide image_size 512 but is 7"),
        (["resfu", "--groups", "5"], "groups should divide embedding_dim 32 but is 5"),
        (["resfu", "--gf-scale", "0"], "gf_scale should be at least 1 but is 0"),
        (["resfu", "--layout", "other"], r"'other' \(choose from .*published.*paper"),
        (["nearest", "--kernel", "3"], "nearest: kernel should be 1 but is 3"),
        (["fns", "--ratio", "0"], "fns: ratio should be positive but is 0"),
    ],
)
def test_bad_input_is_named(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", *arguments])
    shown = capsys.readouterr()
    assert stopped.value.code == 2 and not shown.out
    assert re.search(message, shown.err)


def test_train_gets_its_arguments(monkeypatch):
    stub, calls = types.ModuleType("upwell.train.__main__"), []
    stub.main = calls.append
    monkeypatch.setitem(sys.modules, "upwell.train", types.ModuleType("upwell.train"))
    monkeypatch.setitem(sys.modules, "upwell.train.__main__", stub)
    main(["train", "--help", "inspect"])
    assert calls == [["--help", "inspect"]]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("fraction", [0, 0.25, 0.9])
def test_the_matrix_of_bilinear_taps_is_that_of_their_definition(kernel, fraction):
    found = matrix("fns", kernel)
    for tap, row in zip(found["taps"], found["weights"]):
        for cell, polynomial in zip(found["cells"], row):
            weight = sum(coefficient * fraction**power for power, coefficient in enumerate(polynomial))
            assert weight == pytest.approx(max(0, 1 - abs(tap + fraction - cell)))


def test_the_matrix_is_printed_as_polynomials(capsys):
    main(["inspect", "fns", "--matrix"])
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell] for line in lines]
    assert ["-1", "1 - f", "f", ".", "."] in cells
    assert ["1", ".", ".", "1 - f", "f"] in cells
    main(["inspect", "fns", "--matrix", "--json", "--kernel", "5"])
    assert len(json.loads(capsys.readouterr().out)["weights"]) == 5


@pytest.mark.parametrize("ending, has", [("html", "<html"), ("stmt", "for ("), ("s", ".globl")])
def test_code_of_a_kernel_is_written(capsys, tmp_path, ending, has):
    file = tmp_path / f"kernel.{ending}"
    main(["inspect", "carafe", "--kernel", "3", "--ratio", "2", "--code", str(file), "--direction", "d_value", "--target", "avx2"])
    assert "carafe_d_value, K = 3, ratio 2, float32, avx2" in capsys.readouterr().out
    assert has in file.read_text()


@pytest.mark.parametrize(
    "options, says",
    [
        (["--code", "kernel.txt"], "named .html, .stmt or .s"),
        (["--kernel", "2", "--code", "kernel.s"], "kernel should be odd"),
        (["--ratio", "0", "--code", "kernel.s"], "ratio should be positive"),
        (["--code", "no/such/folder/kernel.stmt"], "no/such/folder"),
    ],
    ids=str,
)
def test_code_that_cannot_be_written_is_one_line(capsys, monkeypatch, tmp_path, options, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["inspect", "fns", *options])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_an_operator_says_what_it_takes_and_makes(capsys):
    for name, signature in signatures().items():
        if name in operators():
            continue
        main(["inspect", name])
        text = capsys.readouterr().out
        for argument in [*signature["inputs"], *signature["outputs"]]:
            assert re.search(rf"{argument['name']} +{re.escape('[' + argument['sizes'] + ']')}", text)
        for option in signature["options"]:
            assert option["name"] in text
    main(["inspect", "wrc_prior", "--json"])
    assert json.loads(capsys.readouterr().out)["inputs"][1]["sizes"] == "N,C*9,h,w"
