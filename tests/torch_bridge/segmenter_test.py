"""`upwell inspect --table`: rows against figures found by hand, and against the paper's."""

import json

import pytest
from upwell.__main__ import main
from upwell.inspect import segmenter
from upwell.inspect.count import count
from upwell.inspect.resfu import PAPER, PAPER_BILINEAR, conv_block
from upwell.inspect.setting import Setting
from upwell.nn.make import NAMES

C, Y, LOW, HALF, FULL = 384, 32, 32**2, 64**2, 128**2
BILINEAR = 4 * C * FULL
STEM = 27 * 64 * 256**2 + 5 * 64 * 256**2 + 9 * 64 * Y * FULL
STEM_PARAMETERS = 27 * 64 + 3 * 64 + 9 * 64 * Y + Y
TABLE = {row.name: row for row in segmenter.table()}


def test_there_is_a_row_for_every_upsampler_and_a_note_in_each():
    assert tuple(TABLE) == NAMES
    assert all(row.note for row in TABLE.values())
    assert set(segmenter.PAPER) <= set(NAMES)


def test_the_conv_block_is_the_one_of_the_model_of_resfu():
    counted = count(segmenter.conv_block, (1, 3, 512, 512), rules=segmenter.papers_rules())
    cost, parameters = conv_block(Setting())
    assert counted == (cost.paper, parameters) == (STEM, STEM_PARAMETERS)


@pytest.mark.parametrize(
    "name, flops, parameters",
    [
        ("bilinear", BILINEAR, 0),
        ("deconv", 16 * C * C * LOW, 16 * C * C + C),
        ("pixelshuffle", 16 * C * C * LOW, 16 * (C * C + C)),
        ("carafe", (64 * C + 9 * 64 * 100) * (LOW + HALF), 2 * (64 * C + 64 + 9 * 64 * 100 + 100)),
        (
            "dysample",
            2 * 32 * C * (LOW + HALF) + 4 * C * (HALF + FULL),  # offsets and scopes, then samples
            2 * (2 * 32 * C + 32),
        ),
        (
            "fade",
            STEM + (64 * Y + 9 * 64 * 25) * (HALF + FULL) + (64 * C + 9 * 64 * 25) * (LOW + HALF),
            STEM_PARAMETERS + 2 * (64 * Y + 64 + 64 * C + 9 * 64 * 25 + 25),
        ),
        (
            "sapa",
            STEM + (5 * C + 32 * C) * (LOW + HALF) + (5 * Y + 32 * Y) * (HALF + FULL),  # norms and projections
            STEM_PARAMETERS + 2 * (2 * C + 2 * Y + 32 * C + 32 * Y + 2 * 32),
        ),
    ],
)
def test_figures_found_by_hand(name, flops, parameters):
    assert TABLE[name].flops == flops - BILINEAR
    assert TABLE[name].parameters == parameters


def test_the_figures_of_the_paper_are_those_of_its_table():
    assert segmenter.PAPER["resfu"].paper == PAPER[3, 32, 4] and segmenter.PAPER["bilinear"].paper == PAPER_BILINEAR
    published = {"deconv": (35.16, 24.40), "pixelshuffle": (35.16, 24.41), "carafe": (32.96, 22.21), "fade": (33.92, 22.14)}
    published |= {"sapa": (33.28, 22.09), "dysample": (32.90, 22.09)}
    for name, figures in published.items():
        assert TABLE[name].paper_flops == pytest.approx(figures[0] - 32.77)
        assert TABLE[name].paper_parameters == pytest.approx(figures[1] - 22.04)


@pytest.mark.parametrize("name", ["bilinear", "deconv", "pixelshuffle", "sapa", "dysample", "resfu", "carafe", "fade"])
def test_what_is_said_to_fit_fits_to_the_rounding_of_two_figures(name):
    row = TABLE[name]
    assert row.parameters / 1e6 == pytest.approx(row.paper_parameters, abs=0.0101)
    if "fits" in row.note or name == "bilinear":
        assert row.flops / 1e9 == pytest.approx(row.paper_flops, abs=0.0101)
    else:
        assert abs(row.flops / 1e9 - row.paper_flops) > 0.15


def test_differences_are_as_large_as_the_notes_say():
    assert TABLE["carafe"].flops / 1e9 - TABLE["carafe"].paper_flops == pytest.approx(0.21, abs=0.005)
    # FADE, with three more convolutions of the decoder's map.
    more = 3 * 9 * 64 * 25 * (LOW + HALF)
    assert more / 1e9 == pytest.approx(0.22, abs=0.005)
    assert (TABLE["fade"].flops + more) / 1e9 - TABLE["fade"].paper_flops == pytest.approx(0.02, abs=0.005)
    # Two transposed convolutions of 3 x 3.
    assert (9 * C * C * (LOW + HALF) - BILINEAR) / 1e9 == pytest.approx(6.77, abs=0.005)
    assert 2 * (9 * C * C + C) / 1e6 == pytest.approx(2.65, abs=0.005)


def test_the_command_prints_the_rows_and_json(capsys):
    main(["inspect", "--table"])
    text = capsys.readouterr().out
    main(["inspect", "--table", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert tuple(rows) == NAMES
    for row in rows.values():
        (line,) = (line for line in text.splitlines() if line.startswith(f"{row['title']} "))
        assert f"{row['flops'] / 1e9:+.3f} G" in line and f"{row['parameters'] / 1e6:+.3f} M" in line


def test_inspect_without_an_operator_says_what_is_missing(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["inspect"])
    assert "OPERATOR or --table" in capsys.readouterr().err
