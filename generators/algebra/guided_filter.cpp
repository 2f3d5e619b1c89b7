#include "algebra/guided_filter.h"

#include "algebra/centre.h"
#include "algebra/dimensions.h"
#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_zero;

namespace {

// f, 0 where it is not a number or infinite.
Func finite(Func f) {
    Func result("finite");
    result(x, y, c) = select(is_finite(f(x, y, c)), f(x, y, c), make_zero(f.type()));
    return result;
}

// Some values of a tuple.
Func pick(Func f, std::vector<int> which) {
    Func picked(f.name() + "_picked");
    std::vector<Expr> chosen;
    for (const int i : which) {
        chosen.push_back(f(x, y, c)[i]);
    }
    picked(x, y, c) = Tuple(chosen);
    return picked;
}

}  // namespace

GuidedFilterFit::GuidedFilterFit(const GuidedFilterProblem &p)
    : problem(p), guide_samples("guide_samples"), moments("moments"), slope("slope"), fit("fit") {
    Func samples("samples"), centred_input("centred_input");
    const Expr column = clamp(likely(x), 0, p.sample_columns() - 1), row = clamp(y, 0, p.sample_rows() - 1);
    samples(x, y, c) = p.guide(column * p.scale, row * p.scale, c);
    const auto along_x = [&](Func rows) { return interpolate("input_samples", rows, 0, p.key_columns); };
    const auto along_y = [&](Func input) { return interpolate("input_rows", input, 1, p.key_rows); };
    guide_centre = plane_centre("guide_centre", samples, p.sample_columns(), p.sample_rows());
    // What is not finite spoils no other place that is interpolated.
    input_centre = plane_centre("input_centre", along_x(along_y(finite(p.input))), p.sample_columns(), p.sample_rows());
    centred_input(x, y, c) = p.input(x, y, c) - input_centre(c);
    input_rows = along_y(centred_input);
    input_samples = along_x(input_rows);
    guide_samples(x, y, c) = samples(x, y, c) - guide_centre(c);

    const Expr I = guide_samples(x, y, c), P = input_samples(x, y, c);
    moments(x, y, c) = Tuple(I, P, I * P, I * I);
    column_means = box_mean("column_means", moments, 1, p.box_rows);
    means = box_mean("means", column_means.result, 0, p.box_columns);

    // Quotients have Funcs of their own: of (p / q) r the simplifier makes (p r) / q, one more division.
    const FuncRef m = means.result(x, y, c);
    slope(x, y, c) = (m[2] - m[0] * m[1]) / (m[3] - m[0] * m[0] + p.eps);
    fit(x, y, c) = Tuple(slope(x, y, c), m[1] - slope(x, y, c) * m[0]);
}

Expr GuidedFilterFit::centred_guide(Expr column, Expr row) const {
    return problem.guide(column, row, c) - guide_centre(c);
}

GuidedFilter::GuidedFilter(const GuidedFilterProblem &p) : start(p), output("filtered") {
    row_model = box_mean("row_model", start.fit, 0, p.box_columns);
    const auto widen = [&](Func samples) { return widened = interpolate("widened", samples, 0, p.columns); };
    const auto mean = [&](Func rows) { return (model = box_mean("model", rows, 1, p.box_rows)).result; };
    const Func rows = p.rows.form == Form::Gather ? widen(mean(row_model.result)) : mean(widen(row_model.result));
    const Func full = interpolate("full", rows, 1, p.rows);
    output(x, y, c) = full(x, y, c)[0] * start.centred_guide(x, y) + full(x, y, c)[1] + start.input_centre(c);
}

GuidedFilterBackward::GuidedFilterBackward(const GuidedFilterProblem &p, Func d_output)
    : start(p), solved("solved"), d_covariance("d_covariance"), d_means("d_means"), sample_rows("sample_rows"),
      d_samples("d_samples"), sample(0, p.sample_columns(), "sample"), d_guide_rows("d_guide_rows"),
      sample_row("sample_row"), d_guide("d_guide"), d_input("d_input") {
    // Back to the gradient of a and b.
    Func d_full("d_full");
    const Expr column = clamp(likely(x), 0, p.width() - 1);  // the last tile of columns may reach beyond the image
    d_full(x, y, c) = Tuple(d_output(column, y, c) * start.centred_guide(column, y), d_output(column, y, c));
    d_widened = interpolate_transpose("d_widened", d_full, 1, p.rows);
    d_column_model = box_mean_transpose("d_column_model", d_widened.sum, 1, p.box_rows);
    d_row_model = interpolate_transpose("d_row_model", d_column_model.result, 0, p.columns);
    d_fit = box_mean_transpose("d_fit", d_row_model.sum, 0, p.box_columns);

    // Through a = covariance / variance and b = m(p) - a m(I).
    const FuncRef m = start.means.result(x, y, c), d = d_fit.result(x, y, c);
    solved(x, y, c) = Tuple(m[0], m[1], m[3] - m[0] * m[0] + p.eps, start.fit(x, y, c)[0]);
    const Expr m_I = solved(x, y, c)[0], m_p = solved(x, y, c)[1], a = solved(x, y, c)[3];
    const Expr d_a = d[0] - d[1] * m_I;
    d_covariance(x, y, c) = d_a / solved(x, y, c)[2];
    const Expr d_product = d_covariance(x, y, c), d_variance = -d_product * a;
    const Expr d_I = -d[1] * a - d_product * m_p - 2 * d_variance * m_I, d_p = d[1] - d_product * m_I;
    d_means(x, y, c) = Tuple(d_I, d_p, d_product, d_variance);

    // To the samples.
    d_row_moments = box_mean_transpose("d_row_moments", d_means, 0, p.box_columns);
    row_model = box_mean("row_model", pick(solved, {3}), 0, p.box_columns);
    const FuncRef d_row = d_row_moments.result(x, y, c);
    sample_rows(x, y, c) = Tuple(d_row[0], d_row[1], d_row[2], d_row[3], row_model.result(x, y, c));
    d_moments = box_mean_transpose("d_moments", pick(sample_rows, {0, 1, 2, 3}), 1, p.box_rows);
    const FuncRef d_moment = d_moments.result(x, y, c);
    const Expr I = start.guide_samples(x, y, c), P = start.input_samples(x, y, c);
    d_samples(x, y, c) = Tuple(d_moment[0] + P * d_moment[2] + 2 * I * d_moment[3], d_moment[1] + I * d_moment[2]);

    // To the pixels of the guide: through the output, and through the samples.
    model = box_mean("model", pick(sample_rows, {4}), 1, p.box_rows);
    widened = interpolate("widened", model.result, 0, p.columns);
    const Func full = interpolate("full", widened, 1, p.rows);
    d_guide(x, y, c) = d_output(x, y, c) * full(x, y, c) + through_samples();

    // And to those of the input.
    d_key_rows = interpolate_transpose("d_key_rows", pick(d_samples, {1}), 1, p.key_rows);
    d_key = interpolate_transpose("d_key", d_key_rows.sum, 0, p.key_columns);
    d_input(x, y, c) = d_key.sum(x, y, c);
}

// The part of a guide pixel that is a sample, else 0.
Expr GuidedFilterBackward::through_samples() {
    const GuidedFilterProblem &p = start.problem;
    const Expr none = make_zero(p.type);
    const auto number = [&](Expr pixel, Expr samples) {
        return select(pixel % p.scale == 0 && pixel / p.scale < samples, pixel / p.scale, -1);
    };
    sample_row(y) = number(y, p.sample_rows());
    const Expr row = clamp(sample_row(y), 0, p.sample_rows() - 1);
    if (p.rows.form == Form::Gather) {
        const Expr column = number(x, p.sample_columns());
        const Expr there = d_samples(clamp(column, 0, p.sample_columns() - 1), row, c)[0];
        return select(sample_row(y) >= 0 && column >= 0, there, none);
    }
    d_guide_rows(x, y, c) = none;
    d_guide_rows(sample * p.scale, y, c) = d_samples(sample, y, c)[0];
    return select(sample_row(y) >= 0, d_guide_rows(x, row, c), none);
}

}  // namespace upwell
