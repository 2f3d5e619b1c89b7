// CPU schedules of the guided filter, plane by plane: the stages of a plane pass each other whole planes of samples.
// What goes along y runs in tiles of columns, its lanes columns, and what goes along x in bands of rows, its lanes
// rows. A task is a few planes; tiles, bands and groups of rows are tasks inside it, for calls of few planes.
#include "schedules/guided_filter.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf, whole = TailStrategy::RoundUp;

Space settled_space(const GuidedFilterKnobs &knobs) {
    Space space;
    space.add(knobs.tile_columns, "columns of a tile that is summed from its first row to its last", 64,
              {16, 32, 64, 128, 256});
    // More of them share their scratch, whose pages are slow to come by; fewer occupy more threads.
    space.add(knobs.task_planes, "planes of a task", 4, {1, 2, 4, 8});
    space.add(knobs.task_rows, "rows of a task inside a plane", 16, {4, 8, 16, 32, 64});
    space.add(knobs.task_bands, "bands of rows of a task inside a plane", 4, {1, 2, 4, 8});
    space.add(knobs.unrolled_rows, "rows that share the place of a column read here and there", 4, {1, 2, 4, 8});
    space.require("unrolled rows divide a task's rows",
                  [&](const Space &s) { return s[knobs.task_rows] % s[knobs.unrolled_rows] == 0; });
    space.settle(knobs);
    return space;
}

// The ways in which a stage of a plane runs, by what it passes along. Scratch is allocated for a whole task.
class PlaneSchedule {
public:
    PlaneSchedule(Func output, const GuidedFilterKnobs &knobs, const Target &target, Type type)
        : output(output), lanes(target.natural_vector_size(type)) {
        const Space space = settled_space(knobs);
        tile_columns = space[knobs.tile_columns];
        task_planes = space[knobs.task_planes];
        task_rows = space[knobs.task_rows];
        task_bands = space[knobs.task_bands];
        unrolled_rows = space[knobs.unrolled_rows];
    }

    void tasks(Func f) {
        f.split(c, planes, c, task_planes, guard).parallel(planes).never_partition(planes, c);
        in_row_tasks(f, guard);
    }

    // Once a plane.
    void whole_plane(Func f) { f.compute_at(output, c).hoist_storage(output, planes).bound_extent(c, 1); }

    // Row after row.
    void by_rows(Func f, TailStrategy tail = whole) {
        whole_plane(f);
        in_row_tasks(f, tail);
    }

    // Element by element, where columns are read here and there: what is read is found once for some rows.
    void by_elements(Func f) {
        Var row("row");
        whole_plane(f);
        f.split(y, rows, y, task_rows, guard)
            .split(y, y, row, unrolled_rows, whole)
            .reorder(row, x, y, rows)
            .unroll(row)
            .parallel(rows)
            .never_partition_all();
    }

    // Along y: a tile of columns from the first row to the last. Lanes are columns.
    void by_tiles(Func f) {
        whole_plane(f);
        f.split(x, tile, x, tile_columns, whole)
            .reorder(x, y, tile, c)
            .vectorize(x, lanes, whole)
            .parallel(tile)
            .never_partition(x, y, c);
    }

    void in_tile(Func f, Func of) { f.compute_at(of, tile).bound_extent(x, tile_columns).bound_extent(c, 1); }

    void in_tile(const Box &box, Func of) {
        for (Func sum : {box.prefix, box.suffix}) {
            in_tile(sum, of);
            sum.update(0).vectorize(x, lanes, whole).never_partition_all();
            sum.update(1).reorder(x, sum.rvars(1)[0]).vectorize(x, lanes, whole).never_partition_all();
        }
    }

    void in_tile(const LinearTranspose &transpose, Func of) {
        in_tile(transpose.sum, of);
        along_rows(transpose);
    }

    // Adds rows to rows. Lanes are columns.
    void along_rows(const LinearTranspose &transpose) {
        Func sum = transpose.sum;
        Var xo("xo"), xi("xi");
        sum.vectorize(x, lanes, whole).never_partition_all();
        sum.update()
            .split(x, xo, xi, lanes, whole)
            .reorder(xi, transpose.pixels.x, xo, transpose.pixels.y, c)
            .vectorize(xi)
            .unroll(transpose.pixels.x)
            .never_partition_all();
    }

    // Along x: a band of as many rows as there are lanes, which inside have rows as lanes, outside columns.
    void by_bands(Func f) {
        whole_plane(f);
        f.split(y, band, y, lanes, whole)
            .split(band, bands, band, task_bands, guard)
            .vectorize(x, lanes, whole)
            .parallel(bands)
            .never_partition_all();
    }

    void in_band(Func f, Func of) {
        f.compute_at(of, band).hoist_storage(of, bands).bound_extent(y, lanes).bound_extent(c, 1);
        f.reorder_storage(y, x, c).reorder(y, x, c).vectorize(y, lanes, whole).never_partition_all();
    }

    void in_band(const Box &box, Func of) {
        for (Func sum : {box.prefix, box.suffix}) {
            in_band(sum, of);
            sum.update(0).vectorize(y, lanes, whole).never_partition_all();
            sum.update(1).reorder(y, sum.rvars(1)[0]).vectorize(y, lanes, whole).never_partition_all();
        }
    }

    void in_band(const LinearTranspose &transpose, Func of) {
        Func sum = transpose.sum;
        in_band(sum, of);
        sum.update()
            .reorder(y, transpose.pixels.x, transpose.pixels.y, c)
            .vectorize(y, lanes, whole)
            .unroll(transpose.pixels.x)
            .never_partition_all();
    }

    void in_row_tasks(Func f, TailStrategy tail) {
        f.split(y, rows, y, task_rows, guard).vectorize(x, lanes, tail).parallel(rows).never_partition(rows, y, x);
    }

    void update_in_row_tasks(Func f) {
        f.update().split(y, rows, y, task_rows, guard).parallel(rows).never_partition_all();
    }

private:
    Func output;
    const int lanes;
    int tile_columns, task_planes, task_rows, task_bands, unrolled_rows;
    const Var rows{"rows"}, planes{"planes"}, tile{"tile"}, bands{"bands"}, band{"band"};
};

void once_a_call(const BoxAxis &axis) {
    for (Func table : axis.tables()) {
        table.compute_root();
    }
}

// Up to the fit in a band of `of`.
void schedule_fit(GuidedFilterFit &fit, PlaneSchedule &s, Func of) {
    once_a_call(fit.problem.box_columns);
    once_a_call(fit.problem.box_rows);
    s.whole_plane(fit.guide_centre);
    s.whole_plane(fit.input_centre);
    s.by_rows(fit.input_rows, guard);
    s.by_elements(fit.samples);
    s.by_tiles(fit.column_means.result);
    s.in_tile(fit.column_means, fit.column_means.result);
    s.in_band(fit.column_means.result.in(), of);
    s.in_band(fit.means, of);
    s.in_band(fit.fit, of);
}

void compute_whole(const std::vector<Func> &sums) {
    for (Func sum : sums) {
        sum.compute_root();
    }
}

void compute_whole(const std::vector<Box> &boxes) {
    for (const Box &box : boxes) {
        compute_whole({box.prefix, box.suffix});
    }
}

}  // namespace

void schedule_plainly(GuidedFilter &parts) {
    compute_whole({parts.start.guide_centre, parts.start.input_centre});
    compute_whole({parts.start.column_means, parts.start.means, parts.row_model, parts.model});
}

void schedule_plainly(GuidedFilterBackward &parts) {
    compute_whole({parts.start.guide_centre, parts.start.input_centre});
    compute_whole({parts.start.column_means, parts.start.means, parts.d_column_model, parts.d_fit, parts.d_row_moments,
                   parts.row_model, parts.d_moments, parts.model});
    compute_whole(
        {parts.d_widened.sum, parts.d_row_model.sum, parts.d_guide_rows, parts.d_key_rows.sum, parts.d_key.sum});
}

void schedule_on_cpu(GuidedFilter &parts, const GuidedFilterKnobs &knobs, const Target &target) {
    PlaneSchedule s(parts.output, knobs, target, parts.start.problem.type);
    s.tasks(parts.output);
    schedule_fit(parts.start, s, parts.model_rows);
    s.in_band(parts.row_model, parts.model_rows);
    s.in_band(parts.row_model.result, parts.model_rows);
    s.by_bands(parts.model_rows);
    s.by_tiles(parts.model.result);
    s.in_tile(parts.model, parts.model.result);
    s.by_elements(parts.widened);
}

void schedule_on_cpu(GuidedFilterBackward &parts, const GuidedFilterKnobs &knobs, const Target &target) {
    PlaneSchedule s(parts.d_guide, knobs, target, parts.start.problem.type);
    s.tasks(parts.d_guide);
    s.tasks(parts.d_input);
    parts.d_input.compute_with(parts.d_guide, c);  // one loop over planes, so that both use what it makes
    schedule_fit(parts.start, s, parts.sample_rows);

    s.in_tile(parts.d_widened, parts.d_column_model.result);
    s.in_tile(parts.d_column_model, parts.d_column_model.result);
    s.by_tiles(parts.d_column_model.result);
    s.in_band(parts.d_column_model.result.in(), parts.sample_rows);
    s.in_band(parts.d_row_model, parts.sample_rows);
    s.in_band(parts.d_fit, parts.sample_rows);
    s.in_band(parts.d_means, parts.sample_rows);
    s.in_band(parts.d_row_moments, parts.sample_rows);
    s.in_band(parts.d_row_moments.result, parts.sample_rows);
    s.in_band(parts.row_model, parts.sample_rows);
    s.in_band(parts.row_model.result, parts.sample_rows);
    s.by_bands(parts.sample_rows);

    s.in_tile(parts.d_moments, parts.d_samples);
    s.by_tiles(parts.d_samples);
    s.in_tile(parts.model, parts.model.result);
    s.by_tiles(parts.model.result);

    parts.sample_row.compute_root();
    s.by_elements(parts.widened);
    s.by_rows(parts.d_guide_rows);
    s.update_in_row_tasks(parts.d_guide_rows);

    s.whole_plane(parts.d_key_rows.sum);
    s.along_rows(parts.d_key_rows);
    s.whole_plane(parts.d_key.sum);
    parts.d_key.sum.update().unroll(parts.d_key.pixels.x).never_partition_all();
}

}  // namespace upwell
