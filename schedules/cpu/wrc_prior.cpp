// CPU schedules of the prior, plane by plane; lanes are columns. Only the adjoint's sums along x, which read pixels
// here and there, run in bands of as many rows of cells as there are lanes, and have rows as lanes.
#include "schedules/wrc_prior.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf, whole = TailStrategy::RoundUp;
// Of a task. More planes share their scratch, whose pages are slow to come by; fewer occupy more threads.
constexpr int task_planes = 4, task_rows = 16, task_vectors = 8;

class PlaneSchedule {
public:
    PlaneSchedule(Func output, const Target &target, Type type)
        : output(output), lanes(target.natural_vector_size(type)) {}

    void tasks(Func f) { f.split(c, planes, c, task_planes, guard).parallel(planes).never_partition(planes, c); }

    // Once a plane.
    void whole_plane(Func f) { f.compute_at(output, c).hoist_storage(output, planes).bound_extent(c, 1); }

    // Rows of pixels, some of them a task: for calls of few planes.
    void by_rows(Func f) {
        f.split(y, rows, y, task_rows, guard).vectorize(x, lanes, guard).parallel(rows).never_partition(rows, y);
    }

    // Some rows of a block of pixels at a time, their sums in registers.
    void widen(WrcPriorMaps &maps) {
        constexpr int block = WrcPriorMaps::block;
        const int unrolled = lanes == block ? 4 : 1;  // rows that share a weight, as many as registers hold
        Var line("line");
        maps.cell_weights.compute_root().vectorize(x, lanes, whole).never_partition_all();
        Func stored = maps.widened.in();
        whole_plane(stored);
        stored.align_bounds(x, block)
            .split(y, y, line, unrolled, whole)
            .split(y, band, y, task_rows / unrolled, guard)
            .split(x, x, lane, block)
            .reorder(lane, line, x, y, band, c)
            .vectorize(lane)
            .unroll(line)
            .parallel(band)
            .never_partition_all();
        Stage sum = maps.widened.compute_at(stored, x).vectorize(x).unroll(y).update();
        sum.reorder(x, y, maps.cells).vectorize(x).unroll(y).never_partition_all();
    }

    // In a band of another function.
    void by_lanes_of_rows(Func f, Func of) {
        f.compute_at(of, band).bound_extent(y, lanes).bound_extent(c, 1);
        std::vector<Var> order = f.args();
        std::swap(order[0], order[1]);
        f.reorder_storage(order).reorder(std::vector<VarOrRVar>(order.begin(), order.end()));
        f.vectorize(y, lanes, whole).never_partition_all();
    }

    // A row of pixels after the other adds to the rows of cells that it reads.
    void d_widen(WrcPriorBackward &parts) {
        Func sum = parts.d_widened;
        whole_plane(sum);
        sum.vectorize(x, lanes, whole).never_partition_all();
        sum.update()
            .split(x, x, lane, lanes, whole)
            .split(x, tile, x, task_vectors, guard)
            .reorder(lane, parts.pixel.x, parts.pixel.y, x, parts.pixel.z, tile, c)
            .vectorize(lane)
            .unroll(parts.pixel.x)
            .unroll(parts.pixel.y)
            .parallel(tile)
            .never_partition({parts.pixel.x, parts.pixel.y, parts.pixel.z, tile, c});
        parts.d_pixels.compute_at(sum, x).vectorize(x, lanes, whole);
    }

    void add_rows(Func sum, RVar row) {
        whole_plane(sum);
        sum.vectorize(x, lanes, whole).update().reorder(x, row, c).vectorize(x, lanes, whole);
    }

    // Sums along x, band by band.
    void by_bands(Func f, Func sum, const RDom &read, Func of) {
        f.split(y, band, y, lanes, guard).vectorize(x, lanes, guard).parallel(band).never_partition(y, band, c);
        Func turned = sum.in();
        by_lanes_of_rows(turned, f);
        sum.compute_at(turned, x)
            .bound_extent(y, lanes)
            .bound_extent(c, 1)
            .vectorize(y)
            .update()
            .reorder(y, read, x)
            .vectorize(y)
            .never_partition_all();
        if (f.dimensions() == 4) {
            f.reorder(x, y, tap, band, c);
            turned.bound(tap, 0, wrc_taps).reorder(y, tap, x, c).unroll(tap);
            sum.unroll(tap).update().reorder(y, tap, read, x).unroll(tap);
        }
        by_lanes_of_rows(of.in(sum), f);
    }

    const Var band{"band"};

private:
    Func output;
    const int lanes;
    const Var planes{"planes"}, rows{"rows"}, tile{"tile"}, lane{"lane"};
};

}  // namespace

void schedule_plainly(WrcPrior &parts) {
    parts.maps.widened.compute_root();
}

void schedule_plainly(WrcPriorBackward &parts) {
    for (Func sum :
         {parts.maps.widened, parts.d_widened, parts.lam_rows, parts.lam_sum, parts.value_sum, parts.mixed_sum}) {
        sum.compute_root();
    }
}

void schedule_on_cpu(WrcPrior &parts, const Target &target) {
    PlaneSchedule s(parts.output, target, parts.problem.type);
    s.tasks(parts.output);
    s.by_rows(parts.output);
    parts.maps.precision.compute_at(parts.output, x).vectorize(x);
    s.widen(parts.maps);
}

void schedule_on_cpu(WrcPriorBackward &parts, const Target &target) {
    PlaneSchedule s(parts.d_mixed, target, parts.problem.type);
    s.tasks(parts.d_mixed);
    s.tasks(parts.d_value);
    s.widen(parts.maps);
    s.d_widen(parts);
    s.by_bands(parts.d_value, parts.value_sum, parts.read, parts.d_widened);
    s.by_bands(parts.d_mixed, parts.mixed_sum, parts.read, parts.d_widened);
    s.add_rows(parts.lam_rows, parts.cell);
    s.whole_plane(parts.lam_sum);
    s.tasks(parts.d_lam);
    parts.d_value.compute_with(parts.d_mixed, c);
    parts.d_lam.compute_with(parts.d_mixed, c);
}

}  // namespace upwell
