#include "algebra/colour_guided_filter.h"

#include "algebra/centre.h"
#include "algebra/dimensions.h"
#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_one, Internal::make_zero;

namespace {

constexpr int channels = 3, products = 6;
using Vector = std::vector<Expr>;

const Var group("group");

Expr dot(const Vector &a, const Vector &b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

// The place of I_i I_j among the products.
int product(int i, int j) {
    return i <= j ? i * (2 * channels - 1 - i) / 2 + j : product(j, i);
}

// A tuple's values from the first on.
Vector some(const FuncRef &values, int first, int count) {
    Vector chosen;
    for (int i = first; i < first + count; i++) {
        chosen.push_back(values[i]);
    }
    return chosen;
}

// Those of a function of x, y, c, n.
Func part(Func f, int first, int count) {
    Func chosen(f.name() + "_part");
    chosen(x, y, c, n) = Tuple(some(f(x, y, c, n), first, count));
    return chosen;
}

Vector joined(Vector first, const Vector &second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

// S = L D L', as 1 / D_0, 1 / D_1, 1 / D_2, L_10, L_20, L_21. No D is less than the least eigenvalue of S, which is at
// least eps; what rounding took from it is put back. (The adjugate over the determinant would lose eps where channels
// are alike: a determinant of eps^2 is then a difference of terms as large as a variance cubed.)
Vector factors(const Vector &S, Expr eps) {
    const auto inverse = [&](Expr d) { return make_one(d.type()) / select(d < eps, eps, d); };  // of nan nan
    const Expr inverse_0 = inverse(S[product(0, 0)]);
    const Expr L_10 = S[product(0, 1)] * inverse_0, L_20 = S[product(0, 2)] * inverse_0;
    const Expr inverse_1 = inverse(S[product(1, 1)] - L_10 * S[product(0, 1)]);
    const Expr rest = S[product(1, 2)] - L_10 * S[product(0, 2)], L_21 = rest * inverse_1;
    const Expr inverse_2 = inverse(S[product(2, 2)] - L_20 * S[product(0, 2)] - L_21 * rest);
    return {inverse_0, inverse_1, inverse_2, L_10, L_20, L_21};
}

// S^-1 v.
Vector solve(const Vector &f, const Vector &v) {
    const Expr L_10 = f[3], L_20 = f[4], L_21 = f[5];
    const Expr y_1 = v[1] - L_10 * v[0], y_2 = v[2] - L_20 * v[0] - L_21 * y_1;
    const Expr r_2 = y_2 * f[2], r_1 = y_1 * f[1] - L_21 * r_2;
    return {v[0] * f[0] - L_10 * r_1 - L_20 * r_2, r_1, r_2};
}

struct Solver {
    explicit Solver(const ColourGuide &guide)
        : mean(some(guide.solver(x, y, n), 0, channels)), factors(some(guide.solver(x, y, n), channels, products)) {}

    Vector mean, factors;
};

}  // namespace

ColourGuide::ColourGuide(const ColourGuidedFilterProblem &p)
    : problem(p), samples("guide_samples"), moments("guide_moments"), solver("solver") {
    Func every("every_sample");
    const Expr column = clamp(x, 0, p.sample_columns() - 1), row = clamp(y, 0, p.sample_rows() - 1);
    every(x, y, c, n) = p.guide(column * p.scale, row * p.scale, c, n);
    centre = plane_centre("guide_centre", every, p.sample_columns(), p.sample_rows());
    Vector I, of_means;
    for (int i = 0; i < channels; i++) {
        I.push_back(every(x, y, i, n) - centre(i, n));
    }
    samples(x, y, n) = Tuple(I);

    I = some(samples(x, y, n), 0, channels);
    Vector all = I;
    for (int i = 0; i < channels; i++) {
        for (int j = i; j < channels; j++) {
            all.push_back(I[i] * I[j]);
        }
    }
    moments(x, y, n) = Tuple(all);
    column_means = box_mean("guide_column_means", moments, 1, p.box_rows);
    means = box_mean("guide_means", column_means.result, 0, p.box_columns);

    const Vector m = some(means.result(x, y, n), 0, channels);
    Vector S = some(means.result(x, y, n), channels, products);
    for (int i = 0; i < channels; i++) {
        for (int j = i; j < channels; j++) {
            S[product(i, j)] -= m[i] * m[j];
        }
        S[product(i, i)] += p.eps;
    }
    solver(x, y, n) = Tuple(joined(m, factors(S, p.eps)));
}

Expr ColourGuide::centred(Expr column, Expr row, int channel) const {
    return problem.guide(column, row, channel, n) - centre(channel, n);
}

ColourGuidedFilterFit::ColourGuidedFilterFit(const ColourGuidedFilterProblem &p)
    : guide(p), samples("samples"), moments("moments"), fit("fit") {
    Func centred_input("centred_input");
    const auto along_x = [&](Func rows) { return interpolate("input_samples", rows, 0, p.key_columns); };
    const auto along_y = [&](Func input) { return interpolate("input_rows", input, 1, p.key_rows); };
    Func finite("finite_input");
    finite(x, y, c, n) =
        select(is_finite(p.input(x, y, c, n)), p.input(x, y, c, n), make_zero(p.type));  // spoils no other place
    input_centre = plane_centre("input_centre", along_x(along_y(finite)), p.sample_columns(), p.sample_rows());
    centred_input(x, y, c, n) = p.input(x, y, c, n) - input_centre(c, n);
    input_rows = along_y(centred_input);
    samples(x, y, c, n) = along_x(input_rows)(x, y, c, n);

    const Expr P = samples(x, y, c, n);
    Vector all{P};
    for (int i = 0; i < channels; i++) {
        all.push_back(guide.samples(x, y, n)[i] * P);
    }
    moments(x, y, c, n) = Tuple(all);
    column_means = box_mean("column_means", moments, 1, p.box_rows);
    means = box_mean("means", column_means.result, 0, p.box_columns);

    const Solver S(guide);
    const Expr mean = means.result(x, y, c, n)[0];
    Vector covariance = some(means.result(x, y, c, n), 1, channels);
    for (int i = 0; i < channels; i++) {
        covariance[i] -= S.mean[i] * mean;
    }
    const Vector a = solve(S.factors, covariance);
    fit(x, y, c, n) = Tuple(joined(a, {mean - dot(a, S.mean)}));
}

ColourGuidedFilter::ColourGuidedFilter(const ColourGuidedFilterProblem &p)
    : start(p), model_rows("model_rows"), output("filtered") {
    row_model = box_mean("row_model", start.fit, 0, p.box_columns);
    model_rows(x, y, c, n) = row_model.result(x, y, c, n);
    model = box_mean("model", model_rows, 1, p.box_rows);
    widened = interpolate("widened", model.result, 0, p.columns);
    const Func full = interpolate("full", widened, 1, p.rows);
    Expr sum = full(x, y, c, n)[channels] + start.input_centre(c, n);
    for (int i = 0; i < channels; i++) {
        sum += full(x, y, c, n)[i] * start.guide.centred(x, y, i);
    }
    output(x, y, c, n) = sum;
}

ColourFitGradient::ColourFitGradient(const ColourGuide &guide, Func d_output) : d_means("d_means") {
    const ColourGuidedFilterProblem &p = guide.problem;
    Func d_full("d_full");
    const Expr column = clamp(likely(x), 0, p.width() - 1);  // the last tile of columns may reach beyond the image
    Vector all;
    for (int i = 0; i < channels; i++) {
        all.push_back(d_output(column, y, c, n) * guide.centred(column, y, i));
    }
    all.push_back(d_output(column, y, c, n));
    d_full(x, y, c, n) = Tuple(all);
    d_widened = interpolate_transpose("d_widened", d_full, 1, p.rows);
    d_column_model = box_mean_transpose("d_column_model", d_widened.sum, 1, p.box_rows);
    d_row_model = interpolate_transpose("d_row_model", d_column_model.result, 0, p.columns);
    d_fit = box_mean_transpose("d_fit", d_row_model.sum, 0, p.box_columns);

    // Through a = S^-1 covariance and b = m(p) - a . m(I).
    const Solver S(guide);
    const Expr d_b = d_fit.result(x, y, c, n)[channels];
    Vector d_a = some(d_fit.result(x, y, c, n), 0, channels);
    for (int i = 0; i < channels; i++) {
        d_a[i] -= d_b * S.mean[i];
    }
    const Vector d_covariance = solve(S.factors, d_a);
    d_means(x, y, c, n) = Tuple(joined({d_b - dot(d_covariance, S.mean)}, d_covariance));
}

ColourGuidedFilterInputGradient::ColourGuidedFilterInputGradient(const ColourGuidedFilterProblem &p, Func d_output)
    : guide(p), back(guide, d_output), sample_rows("sample_rows"), d_samples("d_samples"), d_input("d_input") {
    d_row_moments = box_mean_transpose("d_row_moments", back.d_means, 0, p.box_columns);
    sample_rows(x, y, c, n) = d_row_moments.result(x, y, c, n);
    d_moments = box_mean_transpose("d_moments", sample_rows, 1, p.box_rows);
    const FuncRef d = d_moments.result(x, y, c, n);
    d_samples(x, y, c, n) = d[0] + dot(some(guide.samples(x, y, n), 0, channels), some(d, 1, channels));
    d_key_rows = interpolate_transpose("d_key_rows", d_samples, 1, p.key_rows);
    d_key = interpolate_transpose("d_key", d_key_rows.sum, 0, p.key_columns);
    d_input(x, y, c, n) = d_key.sum(x, y, c, n);
}

ColourGuidedFilterGuideGradient::ColourGuidedFilterGuideGradient(const ColourGuidedFilterProblem &p, Func d_output)
    : start(p), back(start.guide, d_output), sample_rows("sample_rows"), channel(0, p.group_channels, "channel"),
      of_means("of_means"), of_products("of_products"), of_output("of_output"), guide_rows("guide_rows"),
      d_samples("d_samples"), sample_column("sample_column"), sample_row("sample_row"), d_guide("d_guide") {
    d_row_moments = box_mean_transpose("d_row_moments", part(back.d_means, 1, channels), 0, p.box_columns);
    row_model = box_mean("row_model", part(start.fit, 0, channels), 0, p.box_columns);
    const FuncRef fit = start.fit(x, y, c, n), d_mean = back.d_means(x, y, c, n);
    Vector rows =
        joined(some(d_row_moments.result(x, y, c, n), 0, channels), some(row_model.result(x, y, c, n), 0, channels));
    // Of m(I): by the three places that it has in S, in the covariance and in b, put together.
    for (int i = 0; i < channels; i++) {
        rows.push_back(-(fit[i] * d_mean[0] + d_mean[1 + i] * fit[channels]));
    }
    // Of m(I I'): d S = -d_covariance a', and a product that has two places in S has both their gradients.
    for (int i = 0; i < channels; i++) {
        rows.push_back(-d_mean[1 + i] * fit[i]);
        for (int j = i + 1; j < channels; j++) {
            rows.push_back(-(d_mean[1 + i] * fit[j] + d_mean[1 + j] * fit[i]));
        }
    }
    sample_rows(x, y, c, n) = Tuple(rows);

    // The sums over a group's channels.
    d_moments = box_mean_transpose("d_moments", part(sample_rows, 0, channels), 1, p.box_rows);
    model = box_mean("model", part(sample_rows, channels, channels), 1, p.box_rows);
    widened = interpolate("widened", model.result, 0, p.columns);
    const Func slope = interpolate("slope", widened, 1, p.rows);
    const Expr number = group * p.group_channels + channel;
    channel.where(number < p.channels);
    const auto sum = [&](Func total, const Vector &values) {
        const Arguments args{x, y, group, n};
        total(args) = each([](Expr v) { return make_zero(v.type()); }, values);
        total(args) = each(std::plus<Expr>(), upwell::values(total, args), values);
    };
    sum(of_means, some(sample_rows(x, y, number, n), 2 * channels, channels + products));
    Vector by_product, by_output;
    for (int i = 0; i < channels; i++) {
        by_product.push_back(start.samples(x, y, number, n) * d_moments.result(x, y, number, n)[i]);
        by_output.push_back(d_output(x, y, number, n) * slope(x, y, number, n)[i]);
    }
    sum(of_products, by_product);
    sum(of_output, by_output);

    // The sums over groups, and from the means of I and I I' to the samples.
    const RDom groups(0, (p.channels + p.group_channels - 1) / p.group_channels, "groups");
    const auto total = [&](Func of_groups) {
        Func sum(of_groups.name() + "_total");
        const Vector values = upwell::values(of_groups, {x, y, groups, n});
        sum(x, y, n) = each([](Expr v) { return make_zero(v.type()); }, values);
        sum(x, y, n) = each(std::plus<Expr>(), upwell::values(sum, {x, y, n}), values);
        return sum;
    };
    all_of_means = total(of_means);
    all_of_products = total(of_products);
    all_of_output = total(of_output);
    d_guide_rows = box_mean_transpose("d_guide_rows", all_of_means, 0, p.box_columns);
    guide_rows(x, y, n) = d_guide_rows.result(x, y, n);
    d_guide_moments = box_mean_transpose("d_guide_moments", guide_rows, 1, p.box_rows);
    const FuncRef d = d_guide_moments.result(x, y, n), I = start.guide.samples(x, y, n);
    Vector d_I;
    for (int i = 0; i < channels; i++) {
        Expr of_sample = all_of_products(x, y, n)[i] + d[i];
        for (int j = 0; j < channels; j++) {
            of_sample += (i == j ? 2 : 1) * d[channels + product(i, j)] * I[j];
        }
        d_I.push_back(of_sample);
    }
    d_samples(x, y, n) = Tuple(d_I);

    const auto number_of_sample = [&](Expr pixel, Expr samples) {
        return select(pixel % p.scale == 0 && pixel / p.scale < samples, pixel / p.scale, -1);
    };
    sample_column(x) = number_of_sample(x, p.sample_columns());
    sample_row(y) = number_of_sample(y, p.sample_rows());
    Vector of_pixel;
    for (int i = 0; i < channels; i++) {
        of_pixel.push_back(all_of_output(x, y, n)[i] + through_samples(i));
    }
    d_guide(x, y, c, n) = mux(c, of_pixel);
}

// The part of a guide pixel that is a sample, else 0.
Expr ColourGuidedFilterGuideGradient::through_samples(int channel) {
    const ColourGuidedFilterProblem &p = start.guide.problem;
    const Expr there = d_samples(clamp(sample_column(x), 0, p.sample_columns() - 1),
                                 clamp(sample_row(y), 0, p.sample_rows() - 1), n)[channel];
    return select(sample_column(x) >= 0 && sample_row(y) >= 0, there, make_zero(p.type));
}

}  // namespace upwell
