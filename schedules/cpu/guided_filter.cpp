// CPU schedules of the guided filter, plane by plane: the stages of a plane pass each other whole planes of samples.
// What goes along y runs in tiles of columns, its lanes columns, and what goes along x in bands of rows, its lanes
// rows. A task is a few planes; tiles, bands and groups of rows are tasks inside it, for calls of few planes.
#include "schedules/guided_filter.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf, whole = TailStrategy::RoundUp;

Space settled_space(const GuidedFilterKnobs &knobs, int lanes) {
    Space space;
    space.add(knobs.tile_columns, "columns of a tile that is summed from its first row to its last", 64,
              {16, 32, 64, 128, 256});
    // More of them share their scratch, whose pages are slow to come by; fewer occupy more threads.
    space.add(knobs.task_planes, "planes of a task", 4, {1, 2, 4, 8});
    space.add(knobs.task_rows, "rows of a task inside a plane", 16, {4, 8, 16, 32, 64});
    space.add(knobs.task_bands, "bands of rows of a task inside a plane", 64 / lanes, {1, 2, 4, 8});
    space.settle(knobs);
    return space;
}

// The ways in which a stage of a plane runs, by what it passes along. Scratch is allocated for a whole task.
class PlaneSchedule {
public:
    PlaneSchedule(Func output, const GuidedFilterKnobs &knobs, const Target &target, Type type)
        : output(output), lanes(target.natural_vector_size(type)), step(lanes > 8 ? 4 : lanes) {
        const Space space = settled_space(knobs, lanes);
        tile_columns = space[knobs.tile_columns];
        task_planes = space[knobs.task_planes];
        task_rows = space[knobs.task_rows];
        task_bands = space[knobs.task_bands];
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

    // Row after row, every scale-th column.
    void strided(Func f, Expr scale) {
        by_rows(f);
        f.specialize(scale == 1);
        f.specialize(scale == 2);
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

    // A box: blocks of rows, in tiles.
    void by_tiles(const Box &box) {
        whole_plane(box.blocks);
        Func blocks = box.blocks;
        blocks.split(x, tile, x, tile_columns, whole)
            .reorder(x, y, box.block, tile, c)
            .vectorize(x, lanes, whole)
            .unroll(x, unrolled_columns())
            .parallel(tile)
            .never_partition_all();
        sums(box, blocks, tile);
    }

    void in_tile(const Box &box, Func of) {
        Func blocks = box.blocks;
        in_tile(blocks, of);
        blocks.reorder(x, y, box.block, c)
            .vectorize(x, lanes, whole)
            .unroll(x, unrolled_columns())
            .never_partition_all();
        sums(box, of, tile);
    }

    // Of a block at a time, whose lanes are columns.
    void sums(const Box &box, Func of, const Var &level) {
        for (Func sum : {box.prefix, box.suffix}) {
            sum.compute_at(box.blocks, box.block).hoist_storage(of, level);
            sum.bound_extent(x, tile_columns).bound_extent(box.block, 1).bound_extent(c, 1);
            sum.update(0).vectorize(x, lanes, whole).never_partition_all();
            sum.update(1)
                .reorder(x, sum.rvars(1)[0])
                .vectorize(x, lanes, whole)
                .unroll(x, unrolled_columns())
                .never_partition_all();
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
            .never_partition(transpose.pixels.y, c);
    }

    // Along x: a band of as many rows as there are lanes, which inside have rows as lanes, outside columns.
    void by_bands(Func f) {
        whole_plane(f);
        f.split(y, band, y, lanes, whole)
            .split(band, bands, band, task_bands, guard)
            .split(x, part, x, step, whole)
            .reorder(x, y, part, band, bands, c)
            .vectorize(x)
            .unroll(y)
            .parallel(bands)
            .never_partition_all();
    }

    // What has columns as lanes, for a band. A few rows at a time pass their columns on together.
    void turn_in(Func f, Func of) {
        Func band_of = f.in();
        f.compute_at(band_of, part).hoist_storage(of, bands).bound_extent(y, step).bound_extent(c, 1);
        f.reorder_storage(y, x, c).reorder(y, x, c).vectorize(x, lanes, whole).unroll(y).never_partition(y, c);
        band_of.compute_at(of, band).hoist_storage(of, bands).bound_extent(y, lanes).bound_extent(c, 1);
        band_of.reorder_storage(y, x, c)
            .split(y, part, y, step, whole)
            .reorder(y, x, part, c)
            .vectorize(y)
            .unroll(x, 4, whole)
            .never_partition_all();
    }

    // What has rows as lanes, for the plane that a band is of: the same the other way.
    void turn_back(Func f, Func of) {
        f.compute_at(of, part).hoist_storage(of, bands).store_in(MemoryType::Heap);
        f.bound_extent(x, step).bound_extent(y, lanes).bound_extent(c, 1);
        f.reorder(x, y, c).vectorize(y, lanes, whole).unroll(x).never_partition_all();
    }

    void in_band(Func f, Func of) {
        f.compute_at(of, band).hoist_storage(of, bands).bound_extent(y, lanes).bound_extent(c, 1);
        f.reorder_storage(y, x, c).reorder(y, x, c).vectorize(y, lanes, whole).never_partition_all();
    }

    // Once for a place of f, in a band.
    void at_places(Func part, Func f) { part.compute_at(f, x).bound_extent(y, lanes).vectorize(y, lanes, whole); }

    void in_band(const Box &box, Func of) {
        Func blocks = box.blocks;
        in_band(blocks, of);
        blocks.reorder_storage(y, x, box.block, c).reorder(y, x, box.block, c);
        for (Func sum : {box.prefix, box.suffix}) {
            sum.compute_at(blocks, box.block).hoist_storage(of, bands);
            sum.bound_extent(y, lanes).bound_extent(box.block, 1).bound_extent(c, 1);
            sum.reorder_storage(y, x, box.block, c);
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
        f.split(y, rows, y, task_rows, guard).vectorize(x, lanes, tail).parallel(rows).never_partition(rows, y);
    }

    void update_in_row_tasks(Func f) {
        f.update().split(y, rows, y, task_rows, guard).parallel(rows).never_partition_all();
    }

private:
    // Vectors of a tile that go along its rows together, their sums in registers.
    int unrolled_columns() const { return std::min(4, tile_columns / lanes); }

    Func output;
    const int lanes, step;  // step: rows, or columns, that are turned together
    int tile_columns, task_planes, task_rows, task_bands;
    const Var rows{"rows"}, planes{"planes"}, tile{"tile"}, bands{"bands"}, band{"band"}, part{"part"};
};

void once_a_call(const BoxAxis &axis) {
    for (Func table : axis.tables()) {
        table.compute_root();
    }
}

// The samples, whole planes.
void schedule_samples(GuidedFilterFit &fit, PlaneSchedule &s) {
    once_a_call(fit.problem.box_columns);
    once_a_call(fit.problem.box_rows);
    s.whole_plane(fit.guide_centre);
    s.whole_plane(fit.input_centre);
    s.strided(fit.guide_samples, fit.problem.scale);
    s.by_rows(fit.input_rows, guard);
    const Func input_samples = fit.input_samples.in();
    s.by_bands(input_samples);
    s.turn_in(fit.input_rows.in(), input_samples);
    s.turn_back(fit.input_samples, input_samples);
}

// Up to the fit in a band of `of`.
void schedule_fit(GuidedFilterFit &fit, PlaneSchedule &s, Func of) {
    schedule_samples(fit, s);
    s.by_tiles(fit.column_means);
    s.turn_in(fit.column_means.result, of);
    s.in_band(fit.means, of);
    s.in_band(fit.fit, of);
    s.at_places(fit.slope, fit.fit);
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
    const Func rows = parts.widened.in();
    s.by_bands(rows);
    schedule_fit(parts.start, s, rows);
    s.in_band(parts.row_model, rows);
    s.in_band(parts.row_model.result, rows);
    s.turn_back(parts.widened, rows);
    s.by_tiles(parts.model);
}

void schedule_on_cpu(GuidedFilterBackward &parts, const GuidedFilterKnobs &knobs, const Target &target) {
    PlaneSchedule s(parts.d_guide, knobs, target, parts.start.problem.type);
    s.tasks(parts.d_guide);
    s.tasks(parts.d_input);
    parts.d_input.compute_with(parts.d_guide, c);  // one loop over planes, so that both use what it makes
    const Func rows = parts.sample_rows.in();
    s.by_bands(rows);
    schedule_fit(parts.start, s, rows);

    s.by_tiles(parts.d_column_model);
    s.in_tile(parts.d_widened, parts.d_column_model.blocks);
    s.turn_in(parts.d_column_model.result, rows);
    s.in_band(parts.d_row_model, rows);
    s.in_band(parts.d_fit, rows);
    s.in_band(parts.d_means, rows);
    s.at_places(parts.d_covariance, parts.d_means);
    s.in_band(parts.d_row_moments, rows);
    s.in_band(parts.row_model, rows);
    s.turn_back(parts.sample_rows, rows);

    s.in_tile(parts.d_moments, parts.d_samples);
    s.by_tiles(parts.d_samples);
    s.by_tiles(parts.model);

    parts.sample_row.compute_root();
    const Func widened = parts.widened.in();
    s.by_bands(widened);
    s.turn_in(parts.model.result, widened);
    s.turn_back(parts.widened, widened);
    s.by_rows(parts.d_guide_rows);
    s.update_in_row_tasks(parts.d_guide_rows);

    s.whole_plane(parts.d_key_rows.sum);
    s.along_rows(parts.d_key_rows);
    Func key = parts.d_key.sum.in(), key_planes = key.in();
    s.by_bands(key_planes);
    s.turn_in(parts.d_key_rows.sum.in(), key_planes);
    s.in_band(parts.d_key, key_planes);
    s.turn_back(key, key_planes);
}

}  // namespace upwell
