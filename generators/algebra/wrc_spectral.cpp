#include "algebra/wrc_spectral.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;
using Internal::make_const, Internal::make_zero;

namespace {

// Of an interleaved function.
template<class... Place> Complex number(const Func &f, const Place &...place) {
    return {f(0, place...), f(1, place...)};
}

// The first values of a function at a place.
Func first(const std::string &name, const Func &f, int count) {
    Func result(name);
    std::vector<Expr> values;
    for (int i = 0; i < count; i++) {
        values.push_back(f(x, y, c)[i]);
    }
    result(x, y, c) = Tuple(values);
    return result;
}

}  // namespace

WrcSpectralFit::WrcSpectralFit(const WrcSpectralProblem &p)
    : problem(p), kernel_columns("kernel_columns"), kernel_column_sum("kernel_column_sum"),
      kernel_spectrum("kernel_spectrum"), kernel_sum("kernel_sum"), right("right"),
      blocks(0, p.size.scale, 0, p.size.scale, "blocks"), precision_sum("precision_sum"), low_model("low_model") {
    const Complex none(make_zero(p.type), make_zero(p.type));
    const RDom column(0, p.kernel_columns, "kernel_column"), row(0, p.kernel_rows, "kernel_row");
    const Expr place = min(likely(x), p.size.half() - 1);  // the last vector may reach beyond
    kernel_column_sum(x, iy, c) = none;
    kernel_column_sum(x, iy, c) =
        Complex(kernel_column_sum(x, iy, c)) + p.kernel(column, iy, c) * number(p.column_waves, place, column);
    kernel_columns(x, iy, c) = Complex(kernel_column_sum(x, iy, c));
    kernel_sum(x, y, block, c) = none;
    kernel_sum(x, y, block, c) =
        Complex(kernel_sum(x, y, block, c)) + number(p.row_waves, y, block, row) * Complex(kernel_columns(x, row, c));
    kernel_spectrum(x, y, block, c) = Complex(kernel_sum(x, y, block, c));
    const Complex B(kernel_spectrum(x, y, block, c));

    Func pairs("pairs"), products("products");
    pairs(x, y, c) = number(p.samples, x, y, c);
    samples = spread("wide_samples", pairs, {false, true}, p.size);
    right(x, y, block, c) = conj(B) * Complex(samples.wide(x, y, c)) + number(p.spectrum, x, y, block, c);
    const Complex product = B * Complex(right(x, y, block, c));
    products(x, y, block, c) = Tuple(product.re, product.im, dot(B, B));
    folded = fold("folded", products, {false, true, false}, p.size);

    precision_sum(x, y, c) = make_zero(p.type);
    precision_sum(x, y, c) += p.precision(blocks.x * p.size.w + x, y, blocks.y, c);
    const auto m = [&](bool negative) { return balance(negative).data_weight / balance(negative).denominator; };
    const FuncRef f = folded.sum(x, y, c);
    low_model(x, y, c) = Tuple(mean(f[0]), mean(f[1]), (m(false) + m(true)) / 2, (m(false) - m(true)) / 2);
    model = spread("model", low_model, {false, true, false, true}, p.size);
}

Expr WrcSpectralFit::mean(const Expr &sum) const {
    return sum / cast(problem.type, problem.size.scale * problem.size.scale);
}

std::pair<Expr, Expr> WrcSpectralFit::inverse_precision() const {
    const SpectrumSize &size = problem.size;
    const Expr here = 1 / problem.precision(x, y, block, c);
    const Expr there =
        1 / problem.precision(reflected_column(x, size.W()), size.reflected_row(y), size.reflected_block(y, block), c);
    return {(here + there) / 2, (here - there) / 2};
}

Expr WrcSpectralFit::beta(const Expr &even, const Expr &odd) const {
    return model.wide(x, y, c)[2] * even + model.wide(x, y, c)[3] * odd;
}

WrcSpectralFit::Balance WrcSpectralFit::balance(bool negative) const {
    const Expr column = negative ? reflected_column(x, problem.size.w) : Expr(x);
    const Expr row = negative ? problem.size.reflected_row(y) : Expr(y);
    const Expr weight = problem.data_weight(column, row, c), precision = mean(precision_sum(column, row, c));
    return {weight, precision, weight * mean(folded.sum(x, y, c)[2]) + precision};
}

WrcSpectral::WrcSpectral(const WrcSpectralProblem &p) : start(p), output("solved_spectrum") {
    const auto [even, odd] = start.inverse_precision();
    const Complex B(start.kernel_spectrum(x, y, block, c)), R(start.right(x, y, block, c));
    const Complex f(start.model.wide(x, y, c));
    const Complex solved = even * R - start.beta(even, odd) * (conj(B) * f);
    output(part, x, y, block, c) = select(part == 0, solved.re, solved.im);
}

WrcSpectralBackward::WrcSpectralBackward(const WrcSpectralProblem &p, Func d_solved)
    : start(p), d_output("d_solved"), inverse("inverse"), d_low("d_low"), d_right("d_right"),
      d_kernel_spectrum("d_kernel_spectrum"), rows(0, p.size.h, 0, p.size.scale, "rows"),
      columns(0, p.size.half(), "columns"), d_kernel_rows("d_kernel_rows"), d_kernel_sum("d_kernel_sum"),
      d_spectrum("d_spectrum"), d_samples("d_samples"), d_precision("d_precision"), d_data_weight("d_data_weight"),
      d_kernel("d_kernel") {
    const SpectrumSize &size = p.size;
    d_output(x, y, block, c) = number(d_solved, x, y, block, c);
    const auto [here_even, here_odd] = start.inverse_precision();
    inverse(x, y, block, c) = Tuple(here_even, here_odd);

    // At a frequency.
    const Complex B(start.kernel_spectrum(x, y, block, c)), R(start.right(x, y, block, c));
    const Complex G(d_output(x, y, block, c)), f(start.model.wide(x, y, c));
    const Expr even = inverse(x, y, block, c)[0], odd = inverse(x, y, block, c)[1], beta = start.beta(even, odd);
    const Complex GB = G * B;
    const Expr d_alpha = dot(G, R), d_beta = -dot(GB, f);

    // To f, m and what m is made of, at low-res frequencies.
    Func through("through");
    through(x, y, block, c) = Tuple(beta * GB.re, beta * GB.im, d_beta * even, d_beta * odd);
    d_folded = fold("d_folded", through, {false, true, false, true}, size);
    const FuncRef sums = d_folded.sum(x, y, c);
    struct Gradients {
        Expr data_weight, kernel_power, precision;
    };
    const auto gradients = [&](bool negative) -> Gradients {
        const WrcSpectralFit::Balance b = start.balance(negative);
        const Expr d_m = negative ? sums[2] - sums[3] : sums[2] + sums[3];
        const Expr share = d_m / (b.denominator * b.denominator);
        return {share * b.precision, -share * b.data_weight * b.data_weight, -start.mean(share * b.data_weight)};
    };
    const Gradients to = gradients(false), to_negative = gradients(true);
    d_low(x, y, c) = Tuple(-sums[0], -sums[1], (to.kernel_power + to_negative.kernel_power) / 2,
                           (to.precision + to_negative.precision) / 2, (to.precision - to_negative.precision) / 2,
                           to.data_weight, to_negative.data_weight);
    d_model = spread("d_model", first("d_fit", d_low, 5), {false, true, false, false, true}, size);

    // To the right side and the precision.
    const FuncRef d = d_model.wide(x, y, c), m = start.model.wide(x, y, c);
    const Complex d_f(start.mean(d[0]), start.mean(d[1]));
    const Complex d_R = even * G + conj(B) * d_f;
    const auto d_P = [&](const Expr &inverse, const Expr &m, const Expr &direct) {
        return direct - (d_alpha + m * d_beta) * inverse * inverse;
    };
    d_right(x, y, block, c) =
        Tuple(d_R.re, d_R.im, d_P(even + odd, m[2] + m[3], d[3] + d[4]), d_P(even - odd, m[2] - m[3], d[3] - d[4]));
    d_spectrum(part, x, y, block, c) = select(part == 0, d_right(x, y, block, c)[0], d_right(x, y, block, c)[1]);
    whole_precision = join("whole_precision", d_right, 2, size.W(), size);
    whole_data_weight = join("whole_data_weight", d_low, 5, size.w, size);
    d_precision(x, y, block, c) = whole_precision.whole(x, y, block, c);
    d_data_weight(x, y, c) = whole_data_weight.whole(x, y, c);

    // To the samples.
    Func sampled("sampled");
    const Complex stored(d_right(x, y, block, c));
    sampled(x, y, block, c) = B * stored;
    d_sampled = fold("d_sampled", sampled, {false, true}, size);
    d_samples(part, x, y, c) = select(part == 0, d_sampled.sum(x, y, c)[0], d_sampled.sum(x, y, c)[1]);

    // To the kernel, rows first.
    d_kernel_spectrum(x, y, block, c) = conj(R) * d_f - beta * (conj(G) * f) +
                                        Complex(start.samples.wide(x, y, c)) * conj(stored) + 2 * start.mean(d[2]) * B;
    d_kernel_rows(x, iy, c) = Complex(make_zero(p.type), make_zero(p.type));
    d_kernel_rows(x, iy, c) = Complex(d_kernel_rows(x, iy, c)) + conj(number(p.row_waves, rows.x, rows.y, iy)) *
                                                                     Complex(d_kernel_spectrum(x, rows.x, rows.y, c));
    const Expr twice = select(columns > 0 && 2 * columns < size.W(), make_const(p.type, 2), make_const(p.type, 1));
    d_kernel_sum(x, y, c) = make_zero(p.type);
    d_kernel_sum(x, y, c) += twice * dot(number(p.column_waves, columns, x), Complex(d_kernel_rows(columns, y, c)));
    d_kernel(x, y, c) = d_kernel_sum(x, y, c);
}

}  // namespace upwell
