// CPU schedules of the transposed convolution: lanes are columns of blocks, sums stay in registers, each map is padded
// or taken apart by phases once for a group of a sample.
#include "schedules/transposed_conv.h"

namespace upwell::transposed_conv {

using namespace Halide;

namespace {

constexpr auto stores = TailStrategy::PredicateStores, whole = TailStrategy::RoundUp;

const Var columns("columns"), rows("rows");

bool has_32_registers(const Target &target) {
    return target.has_feature(Target::AVX512_Skylake);
}

// The elements of a tap beside each other.
void schedule_weights(Func weights, const Problem &problem) {
    weights.compute_root().reorder_storage(px, py, tx, ty, a, b, g).parallel(g).parallel(b).never_partition_all();
    if (fixed(problem)) {
        weights.bound(px, 0, 2).bound(py, 0, 2).unroll(px).unroll(py);
    }
}

void schedule_padded(Func padded, Func user, Var level, int lanes) {
    padded.compute_at(user, level).vectorize(x, lanes, whole).never_partition(y);
}

// Loads of whole vectors of a row, taken apart in registers.
void schedule_phases(Func phases, const Problem &problem, Func user, Var level, int lanes) {
    phases.compute_at(user, level).reorder(px, x, py, y, b, g, n).vectorize(x, lanes, whole).never_partition(y);
    if (fixed(problem)) {
        phases.bound(px, 0, 2).bound(py, 0, 2).unroll(px);
    }
}

}  // namespace

void schedule_on_cpu(Forward &f, const Target &target) {
    const int lanes = target.natural_vector_size(f.problem.type);
    const bool unrolled = fixed(f.problem);
    const int tile_rows = (has_32_registers(target) ? 2 : 1) * (unrolled ? 2 : 4);
    schedule_weights(f.weights, f.problem);
    schedule_padded(f.padded, f.output, g, lanes);
    f.output.split(y, rows, y, tile_rows, stores)
        .split(x, columns, x, lanes, stores)
        .vectorize(x)
        .unroll(y)
        .parallel(n)
        .parallel(g)
        .parallel(b)
        .parallel(rows)
        .never_partition(b, g, n);
    Stage update = f.sum.update();
    if (unrolled) {
        f.output.bound(px, 0, 2).bound(py, 0, 2).reorder(px, x, py, y, columns, rows, b, g, n).unroll(px).unroll(py);
        f.sum.unroll(px).unroll(py);
        update.reorder({x, px, py, y, f.taps.x, f.taps.y, f.taps.z}).unroll(px).unroll(py);
        f.sum.compute_at(f.output, columns);
    } else {
        f.output.reorder(x, y, px, py, columns, rows, b, g, n);
        update.reorder({x, y, f.taps.x, f.taps.y, f.taps.z});
        f.sum.compute_at(f.output, px);
    }
    f.sum.bound_extent(x, lanes).bound_extent(y, tile_rows).vectorize(x).unroll(y);
    update.vectorize(x).unroll(y);
}

void schedule_on_cpu(DInput &d, const Target &target) {
    const int lanes = target.natural_vector_size(d.problem.type);
    const int tile_rows = 8;
    schedule_weights(d.weights, d.problem);
    schedule_phases(d.phases, d.problem, d.d_input, g, lanes);
    d.d_input.split(y, rows, y, tile_rows, stores)
        .split(x, columns, x, lanes, stores)
        .reorder(x, y, columns, rows, a, g, n)
        .vectorize(x)
        .unroll(y)
        .parallel(n)
        .parallel(g)
        .parallel(a)
        .parallel(rows)
        .never_partition(a, g, n);
    d.sum.compute_at(d.d_input, columns).bound_extent(x, lanes).bound_extent(y, tile_rows).vectorize(x).unroll(y);
    Stage update = d.sum.update();
    update.reorder({x, y, d.taps[0], d.taps[1], d.taps[3], d.taps[4], d.taps[2]}).vectorize(x).unroll(y);
    if (has_32_registers(target)) {  // two rows of taps share all but one of their loads
        RVar two("two");
        update.split(d.taps[1], d.taps[1], two, 2, TailStrategy::GuardWithIf)
            .reorder({x, y, two, d.taps[0], d.taps[1]})
            .unroll(two);
    }
}

void schedule_on_cpu(DWeight &d, const Target &target) {
    constexpr int tile_taps = 2;
    const int lanes = target.natural_vector_size(d.problem.type);
    Func stored = d.strip_sums.in();
    Stage update = d.lane_sums.update();
    stored.compute_root()
        .split(tx, columns, tx, tile_taps, whole)
        .reorder(tx, px, py, columns, ty, strip, b, a, g, n)
        .parallel(n)
        .parallel(g)
        .parallel(a)
        .parallel(b)
        .parallel(strip)
        .never_partition_all();
    schedule_padded(d.padded, stored, g, lanes);
    schedule_phases(d.phases, d.problem, stored, g, lanes);
    const Var level = fixed(d.problem) ? columns : px;
    d.strip_sums.compute_at(stored, level);
    d.lane_sums.compute_at(stored, level).vectorize(lane).unroll(tx);
    update.reorder(lane, tx, px, py, d.blocks.x, d.blocks.y).vectorize(lane).unroll(tx);
    if (fixed(d.problem)) {
        stored.bound(px, 0, 2).bound(py, 0, 2);
        d.lane_sums.unroll(px).unroll(py);
        update.unroll(px).unroll(py);
    }
    d.sums.compute_root().parallel(g).parallel(a);
    d.sums.update().reorder(tx, px, ty, py, b, a, g, d.strips.x, d.strips.y).never_partition_all();
    d.d_weight.parallel(g).parallel(a).never_partition_all();
}

}  // namespace upwell::transposed_conv
