#include "algebra/weights.h"

#include "algebra/dimensions.h"
#include "algebra/numbers.h"

namespace upwell {

using namespace Halide;
using Internal::const_true, Internal::make_const, Internal::make_one, Internal::make_zero;

namespace {

// A polynomial of the fraction as an expression; undefined where it is identically zero.
Expr weight_at(const Polynomial &polynomial, Expr fraction, Type type) {
    Expr value;
    for (int power = 3; power >= 0; power--) {
        if (value.defined()) {
            value = value * fraction;
        }
        if (polynomial[power] != 0) {
            const Expr coefficient = make_const(type, polynomial[power]);
            value = value.defined() ? value + coefficient : coefficient;
        }
    }
    return value;
}

// Sum of the products whose weight is not identically zero.
class SparseSum {
public:
    void add(Expr weight, Expr value) {
        if (weight.defined()) {
            const Expr term = is_const_one(weight) ? value : weight * value;
            sum = sum.defined() ? sum + term : term;
        }
    }
    Expr value(Type type) const { return sum.defined() ? sum : make_zero(type); }

private:
    static bool is_const_one(const Expr &e) { return Internal::is_const_one(e); }
    Expr sum;
};

Expr tap_is_valid(const Operator &op, const Axis &columns, const Axis &rows, Expr px, Expr py, int tap) {
    if (op.taps.border != Border::Masked && op.taps.border != Border::Inside) {
        return const_true();
    }
    const int ix = op.taps.column(tap), iy = op.taps.row(tap);
    return columns.first_tap(px) <= ix && ix <= columns.last_tap(px) && rows.first_tap(py) <= iy &&
           iy <= rows.last_tap(py);
}

// What mirrors in the first and the last cell show at a position at most so many cells outside.
Expr mirrored(Expr position, Expr length, int farthest) {
    const auto distance = [](Expr from) { return cast<int>(abs(from)); };
    const Expr last = length - 1;
    for (int turn = 0; turn < (farthest + 1) / 2; turn++) {  // each takes it nearer by twice `last`, so by 2 at least
        position = last - distance(last - distance(position));
    }
    return clamp(distance(position), 0, last);  // of one cell too, which is all that its mirrors show
}

// Whether window cell (jx, jy) of pixel (x, y) counts.
Expr cell_has_weight(const Operator &op, const Axis &columns, const Axis &rows, const AxisWindow &window) {
    if (!is_empty_outside(op.taps)) {
        return const_true();
    }
    const Expr column = columns.base(x) + window.first + jx, row = rows.base(y) + window.first + jy;
    return column >= 0 && column < columns.low && row >= 0 && row < rows.low;
}

}  // namespace

bool is_empty_outside(const Taps &taps) {
    return taps.border == Border::Zero || taps.border == Border::Inside;
}

Weights window_weights(const Operator &op, const Axis &columns, const Axis &rows, Func logits) {
    const AxisWindow window = lower(op.taps);
    const int kernel = op.taps.kernel;
    const Type type = columns.type;
    // Pixels that only a rounded-up vector asks for must still have finite weights.
    const Expr px = columns.pixel(x), py = rows.pixel(y);
    Weights w{Func("peak"), Func("exponential"), Func("inverse_total"), Func("weight_row"), Func("window_weight")};

    std::vector<Expr> taps;
    if (op.normaliser == Normaliser::Softmax) {
        // The central tap is always inside: it stands in for those that are not. (Where none can be outside, there need
        // not be one.)
        const Expr central = logits(px, py, std::max(0, op.taps.central()), n);
        Expr peak = central, total = make_zero(type), below_peak = make_zero(type);
        std::vector<Expr> exponentials;
        for (int i = 0; i < op.taps.count(); i++) {
            peak = max(peak, select(tap_is_valid(op, columns, rows, px, py, i), logits(px, py, i, n), central));
        }
        w.peak(x, y, n) = peak;
        for (int i = 0; i < op.taps.count(); i++) {
            const Expr valid = tap_is_valid(op, columns, rows, px, py, i),
                       lower = logits(px, py, i, n) - w.peak(x, y, n);
            exponentials.push_back(select(valid, exp(lower), make_zero(type)));
            // Strict: a sum of logits less as many peaks, which is the same to algebra, could pass infinity twice.
            below_peak = strict_float(below_peak + select(valid, strict_float(lower), make_zero(type)));
        }
        w.exponential(x, y, tap, n) = mux(tap, exponentials);
        for (int i = 0; i < op.taps.count(); i++) {
            total = total + w.exponential(x, y, i, n);
        }
        // The peak may pass over a nan, and an exponential may not know one. The sum of what they are made of has one
        // where a logit is a nan or +infinity, or all are -infinity: there the softmax is a nan, of every tap.
        const Expr inverse = make_one(type) / total;
        w.inverse_total(x, y, n) = op.keeps_nan ? with_nan_of(below_peak, inverse) : inverse;
    }
    const auto tap_weight = [&](int tap) -> Expr {
        switch (op.normaliser) {
        case Normaliser::Constant:
            return make_one(type);
        case Normaliser::None:
            return logits(px, py, tap, n);
        case Normaliser::Softmax:
            return w.exponential(x, y, tap, n);
        }
        return Expr();
    };

    // L is a product of two axes: columns first, then rows.
    std::vector<Expr> row_cells, cells;
    for (int iy = 0; iy < kernel; iy++) {
        for (int jx = 0; jx < window.size; jx++) {
            SparseSum sum;
            for (int ix = 0; ix < kernel; ix++) {
                if (const int tap = op.taps.at(iy, ix); tap >= 0) {
                    sum.add(weight_at(window.tap_cells[ix][jx], columns.fraction(x), type), tap_weight(tap));
                }
            }
            row_cells.push_back(sum.value(type));
        }
    }
    w.row(x, y, jx, iy, n) = mux(iy * window.size + jx, row_cells);
    for (int j = 0; j < window.size; j++) {
        SparseSum sum;
        for (int i = 0; i < kernel; i++) {
            sum.add(weight_at(window.tap_cells[i][j], rows.fraction(y), type), w.row(x, y, jx, i, n));
        }
        cells.push_back(sum.value(type));
    }
    const Expr scale = op.normaliser == Normaliser::Softmax ? w.inverse_total(x, y, n) : make_one(type);
    const Expr weight = mux(jy, cells) * scale;
    w.window(x, y, jx, jy, n) = select(cell_has_weight(op, columns, rows, window), weight, zero_times(weight));
    return w;
}

Expr axis_weight(const AxisWindow &window, const Axis &axis, Expr pixel, Expr cell) {
    std::vector<Expr> weights;
    for (const Polynomial &polynomial : window.tap_cells.front()) {
        weights.push_back(weight_at(polynomial, axis.fraction(pixel), axis.type));
    }
    return mux(cell, weights);
}

Expr place_of_cell(const Taps &taps, const AxisWindow &window, Expr position, Expr length) {
    return taps.border == Border::Reflect ? mirrored(position, length, window.last()) : clamp(position, 0, length - 1);
}

Expr fold(const Taps &taps, const Axis &axis, const AxisWindow &window, Expr base, Var j,
          const std::function<Expr(int)> &weight) {
    const Type type = axis.type;
    std::vector<Expr> folded;
    if (taps.border == Border::Reflect) {
        // A cell that a mirror shows is one of the window: that lies about a cell of the map as far to both sides.
        for (int cell = 0; cell < window.size; cell++) {
            const Expr at = base + window.first + cell;
            Expr value = make_zero(type);
            for (int other = 0; other < window.size; other++) {
                const Expr shown = place_of_cell(taps, window, base + window.first + other, axis.low);
                value = value + select(shown == at, weight(other), make_zero(type));
            }
            folded.push_back(value);
        }
        return mux(j, folded);
    }
    for (int cell = 0; cell < window.size; cell++) {
        const Expr at = base + window.first + cell;
        Expr below = make_zero(type), above = make_zero(type);
        for (int other = 0; other < cell; other++) {
            below = below + weight(other);
        }
        for (int other = cell + 1; other < window.size; other++) {
            above = above + weight(other);
        }
        const Expr value =
            weight(cell) + select(at == 0, below, make_zero(type)) + select(at == axis.low - 1, above, make_zero(type));
        folded.push_back(select(at >= 0 && at < axis.low, value, make_zero(type)));
    }
    return mux(j, folded);
}

FoldedWeights fold_border(const Operator &op, const Axis &columns, const Axis &rows, Func weight) {
    const AxisWindow window = lower(op.taps);
    FoldedWeights folded{Func("fold_columns"), Func("folded_weight")};
    Expr along_rows;
    if (is_empty_outside(op.taps)) {
        folded.along_x(x, y, jx, jy, n) = weight(x, y, jx, jy, n);
        along_rows = folded.along_x(x, y, jx, jy, n);
    } else {
        folded.along_x(x, y, jx, jy, n) = fold(op.taps, columns, window, columns.base(x), jx,
                                               [&](int cell) -> Expr { return weight(x, y, cell, jy, n); });
        along_rows = fold(op.taps, rows, window, rows.base(y), jy,
                          [&](int cell) -> Expr { return folded.along_x(x, y, jx, cell, n); });
    }
    folded.window(x, y, jx, jy, n) = select(y >= 0 && y < rows.high, along_rows, make_zero(columns.type));
    return folded;
}

WeightsBackward window_weights_backward(const Operator &op, const Axis &columns, const Axis &rows,
                                        const Weights &weights, Func d_window) {
    const AxisWindow window = lower(op.taps);
    const int kernel = op.taps.kernel;
    const Type type = columns.type;
    WeightsBackward adjoint{Func("d_weight_row"), Func("d_tap"), Func("softmax_inner"), Func("d_weight")};

    Func inner_window("d_inner_window");
    inner_window(x, y, jx, jy, n) = select(cell_has_weight(op, columns, rows, window), d_window(x, y, jx, jy, n),
                                           zero_times(d_window(x, y, jx, jy, n)));
    std::vector<Expr> rows_of_taps, d_taps;
    for (int iy = 0; iy < kernel; iy++) {
        SparseSum sum;
        for (int j = 0; j < window.size; j++) {
            sum.add(weight_at(window.tap_cells[iy][j], rows.fraction(y), type), inner_window(x, y, jx, j, n));
        }
        rows_of_taps.push_back(sum.value(type));
    }
    adjoint.d_row(x, y, jx, iy, n) = mux(iy, rows_of_taps);
    for (int i = 0; i < op.taps.count(); i++) {
        SparseSum sum;
        for (int j = 0; j < window.size; j++) {
            sum.add(weight_at(window.tap_cells[op.taps.column(i)][j], columns.fraction(x), type),
                    adjoint.d_row(x, y, j, op.taps.row(i), n));
        }
        d_taps.push_back(sum.value(type));
    }
    adjoint.d_tap(x, y, tap, n) = mux(tap, d_taps);
    if (op.normaliser == Normaliser::None) {
        adjoint.d_input(x, y, tap, n) = adjoint.d_tap(x, y, tap, n);
        return adjoint;
    }
    Expr inner = make_zero(type);
    for (int i = 0; i < op.taps.count(); i++) {
        inner = inner + weights.exponential(x, y, i, n) * adjoint.d_tap(x, y, i, n);
    }
    adjoint.inner(x, y, n) = inner * weights.inverse_total(x, y, n);
    adjoint.d_input(x, y, tap, n) = weights.exponential(x, y, tap, n) * weights.inverse_total(x, y, n) *
                                    (adjoint.d_tap(x, y, tap, n) - adjoint.inner(x, y, n));
    return adjoint;
}

}  // namespace upwell
