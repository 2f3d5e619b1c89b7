#include "algebra/wrc_exact.h"

#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_one, Internal::make_zero;

namespace {

enum System { right_side, gain_map, diagonal_rest };
enum State { solution_map, residual_map, direction_map };

Dot dot(const std::string &name, Func a, Func b, const WrcWindows &w) {
    Dot d;
    d.columns = Func(name + "_columns");
    d.total = Func(name);
    d.rows = RDom(0, w.rows, name + "_rows");
    d.row = RDom(0, stored(w.columns), name + "_row");
    d.columns(x, c, n) = make_zero(w.type);
    d.columns(x, c, n) += a(x, d.rows, c, n) * b(x, d.rows, c, n);
    d.total(c, n) = make_zero(w.type);
    d.total(c, n) += d.columns(d.row, c, n);
    return d;
}

Func pick(Func maps, int which) {
    Func one(maps.name() + "_" + std::to_string(which));
    one(x, y, c, n) = maps(x, y, which, c, n);
    return one;
}

// Low-res columns beyond the map read its last.
Expr low_column(const WrcWindows &w) {
    return clamp(likely(x), 0, w.columns - 1);
}

}  // namespace

WrcStart::WrcStart(Func precision, Func weighted, Func data_weight, Func data, const WrcWindows &w)
    : windows(w), output("system"), squares("squares") {
    Func quotient("quotient");
    const Expr reciprocal = make_one(w.type) / precision(x, y, c, n);
    quotient(x, y, c, n) = Tuple(reciprocal, weighted(x, y, c, n) * reciprocal);
    quotients = by_place("quotients", quotient, w);
    sums = sum_windows("window_sums", quotients.result, w, {2, 1});
    const Expr d = sums.sum(x, y, c, n)[0], sampled = sums.sum(x, y, c, n)[1];
    const Expr weight = data_weight(low_column(w), y, c, n), rest = make_one(w.type) / (make_one(w.type) + weight * d);
    const Expr gain = sqrt(weight * rest), right = gain * (data(low_column(w), y, c, n) - sampled);
    output(x, y, kind, c, n) =
        select(x < w.columns, select(kind == right_side, right, kind == gain_map, gain, rest), make_zero(w.type));
    const Func right_map = pick(output, right_side);
    square = dot("right_square", right_map, right_map, w);
    squares(c, n) = square.total(c, n);
}

WrcFirst::WrcFirst(Func system, const WrcWindows &w) : windows(w), output("first") {
    output(x, y, kind, c, n) = select(kind == solution_map, make_zero(w.type), pick(system, right_side)(x, y, c, n));
}

WrcReciprocals::WrcReciprocals(Func precision, const WrcWindows &w) : windows(w), output("reciprocals") {
    Func reciprocal("reciprocal");
    reciprocal(x, y, c, n) = make_one(w.type) / precision(x, y, c, n);
    places = by_place("reciprocal_places", reciprocal, w);
    output(x, place_x, place_y, y, c, n) = places.result(x, place_x, place_y, y, c, n);
}

WrcStep::WrcStep(Func reciprocals, Func system, Func state, Func squares_now, Func limits, const WrcWindows &w)
    : windows(w), scaled("scaled"), product("product"), residual("residual"), output("stepped"),
      squares("stepped_squares") {
    const Func gain = pick(system, gain_map), rest = pick(system, diagonal_rest);
    const Func solution = pick(state, solution_map), old_residual = pick(state, residual_map),
               old_direction = pick(state, direction_map);
    Func weighted("weighted_direction");
    weighted(x, y, c, n) = gain(x, y, c, n) * old_direction(x, y, c, n);
    direction = repeat_columns("direction", weighted, stored(w.columns), w.columns, w.span_x - 1, w.span_x - 1, w.form);
    spread = spread_windows("spread", direction.result, w);
    scaled(x, place_x, place_y, y, c, n) =
        reciprocals(x, place_x, place_y, wrap(y, w.rows), c, n) * spread.sum(x, place_x, place_y, y, c, n);
    back = sum_windows("back", scaled, w, {1});
    // Columns beyond the map stay zero.
    product(x, y, c, n) =
        select(x < w.columns, rest(x, y, c, n) * old_direction(x, y, c, n) + gain(x, y, c, n) * back.sum(x, y, c, n),
               make_zero(w.type));
    curvature = dot("curvature", old_direction, product, w);

    const Expr now = squares_now(c, n), curve = curvature.total(c, n);
    // What is not finite goes on, and spoils the plane.
    const Expr ended = is_finite(now) && is_finite(curve) && (now <= limits(c, n) || curve <= make_zero(w.type));
    const Expr length = select(ended, make_zero(w.type), now / curve);
    residual(x, y, c, n) = old_residual(x, y, c, n) - length * product(x, y, c, n);
    square = dot("residual_square", residual, residual, w);
    const Expr keep = select(ended, make_zero(w.type), square.total(c, n) / now);
    output(x, y, kind, c, n) =
        select(kind == solution_map, solution(x, y, c, n) + length * old_direction(x, y, c, n), kind == residual_map,
               residual(x, y, c, n), residual(x, y, c, n) + keep * old_direction(x, y, c, n));
    const Func new_residual = pick(output, residual_map);
    output_square = dot("output_square", new_residual, new_residual, w);
    squares(c, n) = output_square.total(c, n);
}

WrcFinish::WrcFinish(Func precision, Func weighted, Func gain, Func solution, const PixelPlaces &x_places,
                     const PixelPlaces &y_places, const WrcWindows &w)
    : windows(w), output("finished") {
    Func weighted_solution("weighted_solution");
    weighted_solution(x, y, c, n) = gain(x, y, c, n) * solution(x, y, c, n);
    spread = spread_to_pixels("pixels", weighted_solution, stored(w.columns), x_places, y_places, w);
    output(x, y, c, n) = (weighted(x, y, c, n) + spread.result(x, y, c, n)) / precision(x, y, c, n);
}

WrcFinishBackward::WrcFinishBackward(Func precision, Func d_output, Func gain, Func solution, Func X,
                                   const PixelPlaces &x_places, const PixelPlaces &y_places, const WrcWindows &w)
    : WrcFinish(precision, d_output, gain, solution, x_places, y_places, w) {
    const Func v = output;
    output = Func("gradients");
    output(x, y, c, n) = Tuple(v(x, y, c, n), -v(x, y, c, n) * X(x, y, c, n));
}

WrcLowGradients::WrcLowGradients(Func v, Func X, Func data_weight, Func data, const WrcWindows &w)
    : windows(w), output("low_gradients") {
    Func both("both");
    both(x, y, c, n) = Tuple(v(x, y, c, n), X(x, y, c, n));
    places = by_place("places", both, w);
    sums = sum_windows("window_sums", places.result, w, {1, 1});
    const Expr Av = sums.sum(x, y, c, n)[0], misfit = sums.sum(x, y, c, n)[1] - data(x, y, c, n);
    output(x, y, c, n) = Tuple(-Av * misfit, data_weight(x, y, c, n) * Av, data_weight(x, y, c, n) * misfit);
}

WrcKernelGradient::WrcKernelGradient(Func v, Func X, Func misfit, Func d_data, const WrcWindows &w)
    : windows(w), low("low"), lane_sums("lane_sums"),
      samples(0, stored(w.columns) / stored_multiple, 0, w.rows, "samples"), lanes(0, stored_multiple, "lanes"),
      sum("sum"), output("kernel_gradient") {
    const Var cell_x("cell_x"), cell_y("cell_y");
    Func both("both");
    both(x, y, c, n) = Tuple(v(x, y, c, n), X(x, y, c, n));
    places = by_place("places", both, w);
    low(x, y, c, n) = Tuple(misfit(low_column(w), y, c, n), d_data(low_column(w), y, c, n));
    const Expr column_of = samples.x * stored_multiple + column, row_of = samples.y;
    const FuncRef there = places.result(column_of + cell_x, place_x, place_y, row_of + cell_y, c, n);
    const FuncRef here = low(column_of, row_of, c, n);
    const Expr none = make_zero(w.type);
    lane_sums(column, place_x, cell_x, place_y, cell_y, c, n) = none;
    lane_sums(column, place_x, cell_x, place_y, cell_y, c, n) +=
        select(column_of < w.columns, here[0] * there[0] + here[1] * there[1], none);
    sum(place_x, cell_x, place_y, cell_y, c, n) = none;
    sum(place_x, cell_x, place_y, cell_y, c, n) -= lane_sums(lanes, place_x, cell_x, place_y, cell_y, c, n);
    output(place_x, cell_x, place_y, cell_y, c, n) = sum(place_x, cell_x, place_y, cell_y, c, n);
}

}  // namespace upwell
