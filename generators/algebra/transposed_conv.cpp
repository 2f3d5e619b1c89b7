#include "algebra/transposed_conv.h"

namespace upwell::transposed_conv {

using namespace Halide;
using Internal::make_zero;

namespace {

// The input, 0 outside.
Func pad(Func input, const Problem &p) {
    Func padded("padded");
    const Expr width = p.columns.low, height = p.rows.low;
    const Expr value = input(clamp(x, 0, width - 1), clamp(y, 0, height - 1), a, g, n);
    padded(x, y, a, g, n) = select(likely(x >= 0 && x < width) && y >= 0 && y < height, value, make_zero(p.type));
    return padded;
}

// The output's gradient, 0 outside.
Func pad_phases(Func d_output, const Problem &p) {
    Func phases("phases");
    const Expr width = p.columns.blocks, height = p.rows.blocks;
    const Expr value = d_output(px, clamp(x, 0, width - 1), py, clamp(y, 0, height - 1), b, g, n);
    phases(x, y, px, py, b, g, n) =
        select(likely(x >= 0 && x < width) && y >= 0 && y < height, value, make_zero(p.type));
    return phases;
}

}  // namespace

Func phase_weights(const Problem &p) {
    Func weights("weights");
    const Expr column = p.columns.element(tx, px), row = p.rows.element(ty, py);
    const Expr value = p.weight(clamp(column, 0, p.columns.kernel - 1), clamp(row, 0, p.rows.kernel - 1), b, a, g);
    weights(tx, ty, px, py, a, b, g) = select(column >= 0 && row >= 0, value, make_zero(p.type));
    return weights;
}

Forward::Forward(const Problem &p, Func input, Func bias)
    : problem(p), padded(pad(input, p)), weights(phase_weights(p)),
      taps(0, p.columns.taps, 0, p.rows.taps, 0, p.input_channels, "taps"), sum("sum"), output("output") {
    const Expr column = x + p.columns.first + taps.x, row = y + p.rows.first + taps.y;
    sum(x, y, px, py, b, g, n) = bias(b, g);
    sum(x, y, px, py, b, g, n) += padded(column, row, taps.z, g, n) * weights(taps.x, taps.y, px, py, taps.z, b, g);
    output(px, x, py, y, b, g, n) = sum(x, y, px, py, b, g, n);
}

DInput::DInput(const Problem &p, Func d_output)
    : problem(p), phases(pad_phases(d_output, p)), weights(phase_weights(p)),
      taps({{0, p.columns.taps}, {0, p.rows.taps}, {0, p.output_channels}, {0, p.columns.stride}, {0, p.rows.stride}},
           "taps"),
      sum("sum"), d_input("d_input") {
    const Expr column = x - p.columns.first - taps[0], row = y - p.rows.first - taps[1];
    sum(x, y, a, g, n) = make_zero(p.type);
    sum(x, y, a, g, n) += phases(column, row, taps[3], taps[4], taps[2], g, n) *
                          weights(taps[0], taps[1], taps[3], taps[4], a, taps[2], g);
    d_input(x, y, a, g, n) = sum(x, y, a, g, n);
}

DWeight::DWeight(const Problem &p, Func d_output, Func input, Func element_columns, Func element_rows, SumSizes sizes)
    : problem(p), padded(pad(input, p)), phases(pad_phases(d_output, p)),
      blocks(0, (p.columns.blocks + sizes.lanes - 1) / sizes.lanes, 0, min(p.rows.blocks, sizes.strip_rows), "blocks"),
      lane_sums("lane_sums"), lanes(0, sizes.lanes, "lanes"), strip_sums("strip_sums"),
      strips(0, (p.rows.blocks + sizes.strip_rows - 1) / sizes.strip_rows, 0, p.samples, "strips"), sums("sums"),
      d_weight("d_weight") {
    const Expr column = blocks.x * sizes.lanes + lane, row = strip * sizes.strip_rows + blocks.y;
    blocks.where(row < p.rows.blocks);
    lane_sums(lane, tx, px, ty, py, strip, b, a, g, n) = make_zero(p.type);
    lane_sums(lane, tx, px, ty, py, strip, b, a, g, n) +=
        phases(column, row, px, py, b, g, n) * padded(column + p.columns.first + tx, row + p.rows.first + ty, a, g, n);
    strip_sums(tx, px, ty, py, strip, b, a, g, n) = make_zero(p.type);
    strip_sums(tx, px, ty, py, strip, b, a, g, n) += lane_sums(lanes, tx, px, ty, py, strip, b, a, g, n);
    sums(tx, px, ty, py, b, a, g) = make_zero(p.type);
    sums(tx, px, ty, py, b, a, g) += strip_sums(tx, px, ty, py, strips.x, b, a, g, strips.y);
    const auto place = [](Func elements, Var element, const Axis &axis) {
        return std::pair(clamp(elements(element, 0), 0, axis.taps - 1),
                         clamp(elements(element, 1), 0, axis.stride - 1));
    };
    const auto [tap_x, phase_x] = place(element_columns, x, p.columns);
    const auto [tap_y, phase_y] = place(element_rows, y, p.rows);
    d_weight(x, y, b, a, g) = sums(tap_x, phase_x, tap_y, phase_y, b, a, g);
}

}  // namespace upwell::transposed_conv
