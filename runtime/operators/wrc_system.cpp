#include "operators/wrc_system.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "views.h"
#include "warning.h"

namespace upwell {
namespace {

// As generators/algebra/wrc_windows.h.
int64_t stored(int64_t columns) {
    return (columns + 15) / 16 * 16;
}

// A GPU is only waited for once in so many steps.
constexpr int64_t steps_between_looks = 4;

// 1 where an element of a weight lies once it is turned round and zeros are put behind it.
Tensor turn(Host &host, int64_t elements, int64_t places) {
    std::vector<double> table(elements * places);
    for (int64_t i = 0; i < elements; i++) {
        table[i * places + elements - 1 - i] = 1;
    }
    return host.table(table, {elements, places});
}

// Cell and place of every pixel of an axis.
void add_places(std::vector<NamedArgument> &arguments, Host &host, const std::string &axis, int64_t cells,
                int64_t scale, int64_t before) {
    std::vector<int> cell(cells * scale), place(cells * scale);
    for (int64_t pixel = 0; pixel < cells * scale; pixel++) {
        const int64_t from_first = (pixel + before) % (cells * scale);
        cell[pixel] = static_cast<int>(from_first / scale);
        place[pixel] = static_cast<int>(from_first % scale);
    }
    arguments.push_back({"cell_" + axis, host.table(cell)});
    arguments.push_back({"pixel_place_" + axis, host.table(place)});
}

// A plane of numbers N,C,h,w.
Tensor plane(const Tensor &maps, int64_t index) {
    return selected(selected(maps, 0, index / maps.sizes[1]), 0, index % maps.sizes[1]);
}

// The largest magnitude of numbers, or infinity where one is not finite.
double size_of(const std::vector<double> &numbers) {
    double size = 0;
    for (const double number : numbers) {
        size = std::isfinite(number) ? std::max(size, std::abs(number)) : INFINITY;
        if (size == INFINITY) {
            break;
        }
    }
    return size;
}

// In two halves: a type may hold none of 2^exponent and its inverse.
void multiply_by_power_of_2(Host &host, const Tensor &plane, int exponent) {
    for (const int part : {exponent / 2, exponent - exponent / 2}) {
        host.contract({plane, "yx"}, {plane, "yx"}, std::exp2(part));
    }
}

struct ExtremePlane {
    int64_t index;
    int exponent;
};

// The planes whose right side is so small or so large that its squares leave the range of its type. They are left with
// the same system, and their right side divided by 2^exponent.
std::vector<ExtremePlane> rescale_extremes(Host &host, const Tensor &right_side, const Tensor &squares,
                                           const std::vector<double> &square_numbers) {
    const double range = right_side.dtype == Dtype::Float64 ? 1e200 : 1e26;
    std::vector<ExtremePlane> extremes;
    for (size_t i = 0; i < square_numbers.size(); i++) {
        if (square_numbers[i] > 1 / range && square_numbers[i] < range) {
            continue;
        }
        const auto index = static_cast<int64_t>(i);
        const Tensor own = plane(right_side, index);
        const std::vector<double> numbers = host.numbers(own);
        const double size = size_of(numbers);
        if (size == 0 || size == INFINITY) {
            continue;
        }
        const int exponent = std::ilogb(size);
        double square = 0;
        for (const double number : numbers) {
            square += std::ldexp(number, -exponent) * std::ldexp(number, -exponent);
        }
        multiply_by_power_of_2(host, own, -exponent);
        host.fill(plane(squares, index), square);
        extremes.push_back({index, exponent});
    }
    return extremes;
}

bool is_finite(Host &host, const Tensor &right_side, const std::vector<double> &squares) {
    for (size_t i = 0; i < squares.size(); i++) {  // of finite numbers they may overflow
        if (!std::isfinite(squares[i]) &&
            size_of(host.numbers(plane(right_side, static_cast<int64_t>(i)))) == INFINITY) {
            return false;
        }
    }
    return true;
}

bool ended(const std::vector<double> &squares, const std::vector<double> &limits) {
    return std::equal(squares.begin(), squares.end(), limits.begin(), [](double a, double b) { return !(a > b); });
}

// Relative to the right side; 0 where there is nothing to solve.
double worst_residual(const std::vector<double> &squares, const std::vector<double> &right) {
    double worst = 0;
    for (size_t i = 0; i < squares.size(); i++) {
        const double relative = right[i] == 0 ? 0 : squares[i] / right[i];
        worst = std::isnan(relative) || std::isnan(worst) ? NAN : std::max(worst, relative);
    }
    return std::sqrt(worst);
}

void warn_not_finite(const std::string &op) {
    warn(op + ": the residual is not finite; all inputs should be, and their products too");
}

// The low-res system. A plane is solved once the square of its residual is no larger than its limit.
struct System {
    Tensor maps;                       // N,C,3,h,stored w: right side, gain, rest of the diagonal
    Tensor limits;                     // N,C
    std::vector<double> right, limit;  // squares of right sides, and limits: where residuals are looked at
};

struct Reached {
    Tensor values;                // N,C,h,stored w
    std::vector<double> squares;  // of the residual, as it was last looked at
    int64_t steps = 0;
};

// squares: of the right side.
Reached iterate(const WrcWindowTables &windows, const System &system, Tensor squares, const Tensor &precision,
                const WrcTolerance &tolerance) {
    Host &host = windows.host;
    const int64_t N = system.maps.sizes[0], C = system.maps.sizes[1], s = windows.scale;
    const bool looks = tolerance.residual > 0;
    const int64_t between = host.waits_for_device() ? steps_between_looks : 1;
    const Tensor reciprocals = host.scratch({N, C, windows.h, s, s, stored(windows.w + windows.span_x - 1)});
    windows.run("wrc_exact_reciprocals", {{"precision", precision}, {"reciprocals", reciprocals}});
    Tensor state = host.scratch(system.maps.sizes), next = host.scratch(state.sizes),
           next_squares = host.scratch(squares.sizes);
    windows.run("wrc_exact_first", {{"system", system.maps}, {"state", state}});
    Reached reached;
    for (bool done = false; reached.steps < tolerance.steps && !done;) {
        windows.run("wrc_exact_step", {{"reciprocals", reciprocals},
                                       {"system", system.maps},
                                       {"state", state},
                                       {"squares", squares},
                                       {"limits", system.limits},
                                       {"next_state", next},
                                       {"next_squares", next_squares}});
        std::swap(state, next);
        std::swap(squares, next_squares);
        reached.steps++;
        if (looks && (reached.steps % between == 0 || reached.steps == tolerance.steps)) {
            reached.squares = host.numbers(squares);
            done = ended(reached.squares, system.limit);
        }
    }
    reached.values = selected(state, 2, 0);
    return reached;
}

void warn_of(const std::string &op, const Reached &reached, const System &system, const WrcTolerance &tolerance) {
    const double residual = worst_residual(reached.squares, system.right);
    if (!std::isfinite(residual)) {
        warn_not_finite(op);
    } else if (!ended(reached.squares, system.limit)) {
        std::ostringstream text;
        text << op << ": the relative residual is still " << residual << " after " << reached.steps
             << " iterations; the tolerance is " << tolerance.residual
             << "; max_iterations or tolerance should be larger";
        warn(text.str());
    }
}

}  // namespace

WrcWindowTables::WrcWindowTables(Host &host, const WrcProblem &problem)
    : host(host), scale(problem.scale), taps_x(problem.weight.sizes[2]), taps_y(problem.weight.sizes[1]),
      span_x((taps_x + scale - 1) / scale), span_y((taps_y + scale - 1) / scale),
      before_x((taps_x - 1) - taps_x / 2), before_y((taps_y - 1) - taps_y / 2), w(problem.data.sizes[3]),
      h(problem.data.sizes[2]), turn_x(turn(host, taps_x, span_x * scale)),
      turn_y(turn(host, taps_y, span_y * scale)) {
    const int64_t C = problem.weight.sizes[0];
    const Tensor rows = host.scratch({C, taps_y, span_x * scale}),
                 turned = host.scratch({C, span_y * scale, span_x * scale});
    host.contract({rows, "cyX"}, {turn_x, "xX"}, {problem.weight, "cyx"});
    host.contract({turned, "cYX"}, {rows, "cyX"}, {turn_y, "yY"});
    packed = reshaped(turned, {C, span_y, scale, span_x, scale});
}

void WrcWindowTables::run(const std::string &compiled, std::vector<NamedArgument> arguments) const {
    arguments.insert(arguments.end(),
                     {{"kernel", packed}, {"columns", w}, {"rows", h}, {"before_x", before_x}, {"before_y", before_y}});
    host.run(compiled, arguments);
}

void WrcWindowTables::run_on_pixels(const std::string &compiled, std::vector<NamedArgument> arguments) const {
    add_places(arguments, host, "x", w, scale, before_x);
    add_places(arguments, host, "y", h, scale, before_y);
    run(compiled, std::move(arguments));
}

void WrcWindowTables::unpack(const Tensor &d_packed, const Tensor &d_weight) const {
    const int64_t N = d_packed.sizes[0], C = d_packed.sizes[1];
    const Tensor turned = reshaped(d_packed, {N, C, span_y * scale, span_x * scale}),
                 rows = host.scratch({C, span_y * scale, taps_x});
    host.contract({rows, "cYx"}, {turned, "ncYX"}, {turn_x, "xX"});
    host.contract({d_weight, "cyx"}, {rows, "cYx"}, {turn_y, "yY"});
}

WrcSolution solve(const std::string &op, const WrcWindowTables &windows, const WrcProblem &problem,
                  const Tensor &weighted, const WrcTolerance &tolerance) {
    Host &host = windows.host;
    const int64_t N = problem.data.sizes[0], C = problem.data.sizes[1];
    System system;
    system.maps = host.scratch({N, C, 3, windows.h, stored(windows.w)});
    const Tensor squares = host.scratch({N, C});
    windows.run("wrc_exact_start", {{"precision", problem.precision},
                                    {"weighted", weighted},
                                    {"data_weight", problem.data_weight},
                                    {"data", problem.data},
                                    {"system", system.maps},
                                    {"squares", squares}});
    const Tensor right = selected(system.maps, 2, 0), right_side = narrowed(right, 3, 0, windows.w),
                 gain = selected(system.maps, 2, 1);
    const bool looks = tolerance.residual > 0;
    if (looks) {
        system.right = host.numbers(squares);
    }
    if (!windows.overlap()) {  // the system is the identity
        if (looks && !is_finite(host, right_side, system.right)) {
            warn_not_finite(op);
        }
        return {gain, right};
    }

    std::vector<ExtremePlane> extremes;
    if (looks) {
        extremes = rescale_extremes(host, right_side, squares, system.right);
        system.right = extremes.empty() ? system.right : host.numbers(squares);
        if (std::all_of(system.right.begin(), system.right.end(), [](double square) { return square == 0; })) {
            return {gain, right};  // zeros
        }
    }
    system.limits = host.scratch({N, C});
    host.contract({system.limits, "nc"}, {squares, "nc"}, tolerance.residual * tolerance.residual);
    if (looks) {
        system.limit = host.numbers(system.limits);
    }
    const Reached reached = iterate(windows, system, squares, problem.precision, tolerance);
    if (looks) {
        warn_of(op, reached, system, tolerance);
    }
    for (const ExtremePlane &extreme : extremes) {
        multiply_by_power_of_2(host, plane(reached.values, extreme.index), extreme.exponent);
    }
    return {gain, reached.values};
}

}  // namespace upwell
