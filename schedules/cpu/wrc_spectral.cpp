// CPU schedules of the spectral solver. A task is a plane: its stages pass each other the whole plane, which stays in
// cache, real and imaginary parts apart. Lanes are columns.
#include "schedules/wrc_spectral.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf, whole = TailStrategy::RoundUp;

class PlaneSchedule {
public:
    PlaneSchedule(Func first_output, const Target &target, Type type)
        : first(first_output), lanes(target.natural_vector_size(type)) {}

    // A loop over planes, one of all outputs.
    void output(Func f) {
        f.parallel(c);
        partition_columns_only(f);
        if (f.name() != first.name()) {
            f.compute_with(first, c);
        }
    }

    // Its two parts stored side by side.
    void interleaved_output(Func f) {
        f.bound(part, 0, 2).unroll(part);
        row_output(f);
    }

    void row_output(Func f) {
        output(f);
        f.vectorize(x, lanes, guard);
    }

    // Once a plane.
    void stage(Func f) {
        whole_plane(f);
        partition_columns_only(f);
        f.vectorize(x, lanes, guard);
    }

    // A sum for each place of a row, whose terms' loop is inside that over vectors.
    void stage(Func f, Func sum) {
        stage(f);
        sum.compute_at(f, x).vectorize(x, lanes, whole).update().vectorize(x, lanes, whole);
    }

    // Rows added to rows.
    void row_sum(Func sum, const std::vector<VarOrRVar> &order) {
        stage(sum);
        sum.update().reorder(order).vectorize(x, lanes, guard).never_partition({order.begin() + 1, order.end()});
    }

    // The same for each row of taps; a vector of terms serves them all.
    void sum_to_taps(Func sum, Func term, const RDom &rows) {
        Var inner("inner");
        stage(sum);
        sum.update()
            .split(x, x, inner, lanes, guard)
            .reorder(inner, iy, x, rows.x, rows.y)
            .vectorize(inner)
            .never_partition(iy, rows.x, rows.y, c);
        term.compute_at(sum, x).vectorize(x, lanes, guard);
    }

    void stage(const Fold &f) {
        row_sum(f.direct, {x, f.direct_blocks.x, y, f.direct_blocks.y, c});
        row_sum(f.reflected, {x, f.reflected_blocks.x, y, f.reflected_blocks.y, c});
    }

    void stage(Spread &s) {
        whole_plane(s.wide);
        int update = 0;
        for (const RDom &columns : {s.direct_blocks, s.reflected_blocks}) {
            // Frequencies written twice are written the same; those of a vector are different ones.
            s.wide.update(update++)
                .reorder(columns.x, columns.y, y)
                .never_partition(columns.y, y, c)
                .allow_race_conditions()
                .vectorize(columns.x, lanes, guard);
        }
    }

    void stage(Join &j) {
        whole_plane(j.whole);
        int update = 0;
        for (const RVar &columns : {RVar(j.near), RVar(j.far)}) {
            j.whole.update(update++).never_partition(y, c).vectorize(columns, lanes, guard);
        }
    }

private:
    // The rest would make several copies of the loops over columns.
    void partition_columns_only(Func f) {
        std::vector<VarOrRVar> rest;
        for (const Var &v : f.args()) {
            if (v.name() != x.name()) {
                rest.push_back(v);
            }
        }
        f.never_partition(rest);
    }

    void whole_plane(Func f) { f.compute_at(first, c).bound_extent(c, 1); }

    Func first;
    const int lanes;
};

void schedule_start(WrcSpectralFit &fit, PlaneSchedule &s) {
    s.stage(fit.kernel_columns, fit.kernel_column_sum);
    s.stage(fit.kernel_spectrum, fit.kernel_sum);
    s.stage(fit.samples);
    s.stage(fit.right);
    s.stage(fit.folded);
    s.row_sum(fit.precision_sum, {x, fit.blocks.x, y, fit.blocks.y, c});
    s.stage(fit.low_model);
    s.stage(fit.model);
}

}  // namespace

void schedule_on_cpu(WrcSpectral &parts, const Target &target) {
    PlaneSchedule s(parts.output, target, parts.start.problem.type);
    s.interleaved_output(parts.output);
    schedule_start(parts.start, s);
}

void schedule_on_cpu(WrcSpectralBackward &parts, const Target &target) {
    PlaneSchedule s(parts.d_precision, target, parts.start.problem.type);
    s.row_output(parts.d_precision);
    s.row_output(parts.d_data_weight);
    s.output(parts.d_kernel);
    s.interleaved_output(parts.d_spectrum);
    s.interleaved_output(parts.d_samples);
    schedule_start(parts.start, s);
    s.stage(parts.d_output);
    s.stage(parts.inverse);
    s.stage(parts.d_folded);
    s.stage(parts.d_low);
    s.stage(parts.d_model);
    s.stage(parts.d_right);
    s.stage(parts.whole_precision);
    s.stage(parts.whole_data_weight);
    s.stage(parts.d_sampled);
    s.sum_to_taps(parts.d_kernel_rows, parts.d_kernel_spectrum, parts.rows);
    parts.d_kernel_sum.compute_at(parts.d_kernel, y);
}

}  // namespace upwell
