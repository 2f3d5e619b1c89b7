// CPU schedules of the exact solver of weighted reverse convolution. A task is a plane; lanes are low-res columns, or
// the columns of a high-res row of scratch, from which pixels are taken apart by place, or put together again.
#include "schedules/wrc_exact.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf, whole = TailStrategy::RoundUp;
constexpr int strip_rows = 8;        // whose pixels are taken apart at once, and stay in cache
constexpr int scales[] = {1, 2, 4};  // at which to take apart and to put together are shuffles

class Schedule {
public:
    Schedule(const WrcWindows &windows, const Target &target)
        : windows(windows), lanes(target.natural_vector_size(windows.type)) {}

    const Var strip{"strip"}, block{"block"}, lane{"lane"};

    void tasks(Func f) { f.parallel(c).parallel(n); }

    // A low-res result: strips of rows of blocks of lanes.
    void by_strips(Func f, TailStrategy tail) {
        f.split(y, strip, y, strip_rows, guard).split(x, block, lane, lanes, tail).vectorize(lane);
    }

    // A whole plane, which f's plane reads.
    void in_plane(Func stage, Func f) { stage.compute_at(f, c).vectorize(x, lanes, whole); }

    void in_plane(const Dot &dot, Func f) {
        in_plane(dot.columns, f);
        Func columns = dot.columns;
        columns.update().vectorize(x, lanes, whole);
        Func(dot.total).compute_at(f, c);
    }

    void in_block(const WindowSum &sum, Func f) {
        Func s = sum.sum;
        s.compute_at(f, block).vectorize(x, lanes, whole);
        s.update().vectorize(x, lanes, whole);
    }

    void in_strip(const Places &places, Func f) {
        Func result = places.result;
        result.compute_at(f, strip);
        apart(places, result);
    }

    // result is of all places; rows of pixels are found as it needs them.
    void apart(const Places &places, Func result) {
        result.vectorize(x, lanes, whole);
        repeat(places.row, result, place_y);
        for_scales(result);
    }

    void repeat(const Periodic &periodic, Func f, Var level) {
        Func result = periodic.result;
        result.compute_at(f, level);
        result.update(0).vectorize(periodic.inside, lanes, guard);
        result.update(1).unscheduled();
        result.update(2).unscheduled();
    }

    // The windows of 3 x 3 elements at a scale of 2, and whatever spans as few cells, without loops inside.
    void unroll_small(const WindowSum &sum) {
        const RDom &window = sum.window;
        Func(sum.sum)
            .update()
            .specialize(windows.scale == 2 && small_span())
            .unroll(window.x)
            .unroll(window.y)
            .unroll(window.z)
            .unroll(window.w);
    }
    void unroll_small(const WindowSpread &spread) {
        Func(spread.sum).update().specialize(small_span()).unroll(spread.cells.x).unroll(spread.cells.y);
    }
    Expr small_span() const { return windows.span_x == 2 && windows.span_y == 2; }

    template<class F> void for_scales(F f) {
        for (const int scale : scales) {
            f.specialize(windows.scale == scale);
        }
    }

    const WrcWindows &windows;
    const int lanes;
};

// Some maps, side by side in a Func.
void unroll_kinds(Func f, const Schedule &s) {
    f.bound(kind, 0, 3).reorder(s.lane, kind, s.block, y).unroll(kind);
}

}  // namespace

void schedule_on_cpu(WrcStart &parts, const Target &target) {
    Schedule s(parts.windows, target);
    s.tasks(parts.output);
    s.by_strips(parts.output, whole);
    unroll_kinds(parts.output, s);
    s.in_block(parts.sums, parts.output);
    s.in_strip(parts.quotients, parts.output);
    s.tasks(parts.squares);
    s.in_plane(parts.square, parts.squares);
}

void schedule_on_cpu(WrcFirst &parts, const Target &target) {
    Schedule s(parts.windows, target);
    s.tasks(parts.output);
    s.by_strips(parts.output, whole);
    unroll_kinds(parts.output, s);
}

void schedule_on_cpu(WrcReciprocals &parts, const Target &target) {
    Schedule s(parts.windows, target);
    s.tasks(parts.output);
    s.apart(parts.places, parts.output);
}

void schedule_on_cpu(WrcStep &parts, const Target &target) {
    Schedule s(parts.windows, target);
    s.tasks(parts.output);
    s.by_strips(parts.output, whole);
    unroll_kinds(parts.output, s);
    s.repeat(parts.direction, parts.output, c);
    parts.product.compute_at(parts.output, c);
    s.by_strips(parts.product, whole);
    s.in_block(parts.back, parts.product);
    parts.scaled.compute_at(parts.product, s.strip).split(x, s.block, s.lane, s.lanes, whole).vectorize(s.lane);
    parts.spread.sum.compute_at(parts.scaled, s.block).vectorize(x, s.lanes, whole);
    parts.spread.sum.update().vectorize(x, s.lanes, whole);
    s.unroll_small(parts.back);
    s.unroll_small(parts.spread);
    s.in_plane(parts.curvature, parts.output);
    s.in_plane(parts.residual, parts.output);
    s.in_plane(parts.square, parts.output);
    s.tasks(parts.squares);
    s.in_plane(parts.output_square, parts.squares);
}

void schedule_on_cpu(WrcFinish &parts, const Target &target) {
    Schedule s(parts.windows, target);
    PixelSpread &spread = parts.spread;
    s.tasks(parts.output);
    parts.output.vectorize(x, s.lanes, guard);
    s.repeat(spread.low, parts.output, c);
    spread.sum.compute_at(parts.output, y).vectorize(x, s.lanes, whole);
    spread.sum.update().vectorize(x, s.lanes, whole);
    spread.interleaved.compute_at(parts.output, y);
    spread.interleaved.update().allow_race_conditions().vectorize(spread.place.y, s.lanes, guard);
    for (const int scale : scales) {
        spread.interleaved.update().specialize(parts.windows.scale == scale).unroll(spread.place.x);
    }
}

void schedule_on_cpu(WrcLowGradients &parts, const Target &target) {
    Schedule s(parts.windows, target);
    s.tasks(parts.output);
    s.by_strips(parts.output, guard);
    s.in_block(parts.sums, parts.output);
    s.in_strip(parts.places, parts.output);
}

void schedule_on_cpu(WrcKernelGradient &parts, const Target &target) {
    Schedule s(parts.windows, target);
    s.tasks(parts.output);
    parts.places.result.compute_at(parts.output, c);
    s.apart(parts.places, parts.places.result);
    s.in_plane(parts.low, parts.output);
    parts.lane_sums.compute_at(parts.output, c).vectorize(column, s.lanes);
    const std::vector<Var> lane_dimensions = parts.lane_sums.args();
    parts.lane_sums.update()
        .reorder({column, parts.samples.x, lane_dimensions[1], lane_dimensions[2], lane_dimensions[3],
                  lane_dimensions[4], parts.samples.y})
        .vectorize(column, s.lanes);
    parts.sum.compute_at(parts.output, c);
}

}  // namespace upwell
