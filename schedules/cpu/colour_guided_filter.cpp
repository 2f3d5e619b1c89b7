// CPU schedules of the guided filter with a colour guide. What the guide alone says is found once an image, in whole
// planes; then channel by channel, as the grey filter: the stages of a channel pass each other whole planes of samples.
// What goes along y runs in tiles of columns, its lanes columns, and what goes along x in bands of rows, its lanes
// rows. A task is a few channels; tiles, bands and groups of rows are tasks inside it, for calls of few channels.
#include "schedules/colour_guided_filter.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf, whole = TailStrategy::RoundUp;

Space settled_space(const ColourGuidedFilterKnobs &knobs) {
    Space space;
    space.add(knobs.tile_columns, "columns of a tile that is summed from its first row to its last", 64,
              {16, 32, 64, 128, 256});
    space.add(knobs.task_channels, "channels of a task", 4, {1, 2, 4, 8, 16});
    space.add(knobs.task_rows, "rows of a task inside a plane", 16, {4, 8, 16, 32, 64});
    space.add(knobs.task_bands, "bands of rows of a task inside a plane", 4, {1, 2, 4, 8});
    space.add(knobs.unrolled_rows, "rows that share the place of a column read here and there", 4, {1, 2, 4, 8});
    space.require("unrolled rows divide a task's rows",
                  [&](const Space &s) { return s[knobs.task_rows] % s[knobs.unrolled_rows] == 0; });
    space.settle(knobs);
    return space;
}

struct Sizes {
    Sizes(const ColourGuidedFilterKnobs &knobs, const Target &target, Type type)
        : Sizes(settled_space(knobs), knobs, target.natural_vector_size(type)) {}

    const int lanes, tile_columns, task_channels, task_rows, task_bands, unrolled_rows;

private:
    Sizes(const Space &space, const ColourGuidedFilterKnobs &knobs, int lanes)
        : lanes(lanes), tile_columns(space[knobs.tile_columns]), task_channels(space[knobs.task_channels]),
          task_rows(space[knobs.task_rows]), task_bands(space[knobs.task_bands]),
          unrolled_rows(space[knobs.unrolled_rows]) {}
};

const Var rows("rows"), tasks("tasks"), tile("tile"), bands("bands"), band("band");
const Var group("group"), empty_group("empty_group");  // of the sums over channels, and where they are set to 0

// Row after row, lanes columns; what is left of the last vector by `tail`.
void in_row_tasks(Func f, const Sizes &s, TailStrategy tail) {
    f.split(y, rows, y, s.task_rows, guard).vectorize(x, s.lanes, tail).parallel(rows).never_partition(rows, y, x);
}

// The ways in which a stage of a plane runs, by what it passes along. plane: where one is found; storage: where its
// scratch is allocated.
class Stages {
public:
    Stages(const Sizes &sizes, LoopLevel plane, LoopLevel storage)
        : s(sizes), plane(std::move(plane)), storage(std::move(storage)) {}

    // Once a plane.
    void whole_plane(Func f) {
        find(f);
        one_channel(f);
    }

    // Once a plane, for what is not one itself.
    void find(Func f) { f.compute_at(plane).hoist_storage(storage); }

    // Row after row.
    void by_rows(Func f, TailStrategy tail = whole) {
        whole_plane(f);
        in_row_tasks(f, s, tail);
    }

    // Element by element, where columns are read here and there: what is read is found once for some rows.
    void by_elements(Func f) {
        Var row("row");
        whole_plane(f);
        f.split(y, rows, y, s.task_rows, guard)
            .split(y, y, row, s.unrolled_rows, whole)
            .reorder(row, x, y, rows)
            .unroll(row)
            .parallel(rows)
            .never_partition_all();
    }

    // Along y: a tile of columns from the first row to the last. Lanes are columns.
    void by_tiles(Func f) {
        whole_plane(f);
        f.split(x, tile, x, s.tile_columns, whole)
            .reorder(x, y, tile)
            .vectorize(x, s.lanes, whole)
            .parallel(tile)
            .never_partition_all();
    }

    void in_tile(Func f, Func of) {
        f.compute_at(of, tile).bound_extent(x, s.tile_columns);
        one_channel(f);
    }

    void in_tile(const Box &box, Func of) {
        for (Func sum : {box.prefix, box.suffix}) {
            in_tile(sum, of);
            sum.update(0).vectorize(x, s.lanes, whole).never_partition_all();
            sum.update(1).reorder(x, sum.rvars(1)[0]).vectorize(x, s.lanes, whole).never_partition_all();
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
        sum.vectorize(x, s.lanes, whole).never_partition_all();
        sum.update()
            .split(x, xo, xi, s.lanes, whole)
            .reorder(xi, transpose.pixels.x, xo, transpose.pixels.y)
            .vectorize(xi)
            .unroll(transpose.pixels.x)
            .never_partition_all();
    }

    // Along x: a band of as many rows as there are lanes, which inside have rows as lanes, outside columns.
    void by_bands(Func f) {
        split_into_bands(f);
        f.vectorize(x, s.lanes, whole);
    }

    // The same for what bands read again: lanes are rows outside too.
    void by_bands_for_bands(Func f) {
        split_into_bands(f);
        f.reorder_storage(y, x, n).reorder(y, x, band, bands).vectorize(y);
    }

    void in_band(Func f, Func of) {
        f.compute_at(of, band).hoist_storage(of, bands).bound_extent(y, s.lanes);
        one_channel(f);
        f.reorder_storage(y, x).reorder(y, x).vectorize(y, s.lanes, whole).never_partition_all();
    }

    void in_band(const Box &box, Func of) {
        for (Func sum : {box.prefix, box.suffix}) {
            in_band(sum, of);
            sum.update(0).vectorize(y, s.lanes, whole).never_partition_all();
            sum.update(1).reorder(y, sum.rvars(1)[0]).vectorize(y, s.lanes, whole).never_partition_all();
        }
    }

    void in_band(const LinearTranspose &transpose, Func of) {
        Func sum = transpose.sum;
        in_band(sum, of);
        sum.update()
            .reorder(y, transpose.pixels.x, transpose.pixels.y)
            .vectorize(y, s.lanes, whole)
            .unroll(transpose.pixels.x)
            .never_partition_all();
    }

private:
    static void one_channel(Func f) {
        for (const Var &v : f.args()) {
            if (v.same_as(c)) {
                f.bound_extent(c, 1);
            }
        }
    }

    void split_into_bands(Func f) {
        whole_plane(f);
        f.split(y, band, y, s.lanes, whole)
            .split(band, bands, band, s.task_bands, guard)
            .parallel(bands)
            .never_partition_all();
    }

    const Sizes &s;
    const LoopLevel plane, storage;
};

// Few channels, then rows of each, are tasks.
void by_channels(Func f, const Sizes &s) {
    f.split(c, tasks, c, s.task_channels, guard).parallel(tasks).parallel(n).never_partition(n, tasks, c);
    in_row_tasks(f, s, guard);
}

Stages once_an_image(Func f, const Sizes &s) {
    return {s, LoopLevel(f, n), LoopLevel(f, n)};
}

Stages once_a_channel(Func f, const Sizes &s) {
    return {s, LoopLevel(f, c), LoopLevel(f, tasks)};
}

void schedule_guide(ColourGuide &guide, Stages once) {
    for (const BoxAxis *axis : {&guide.problem.box_columns, &guide.problem.box_rows}) {
        for (Func table : axis->tables()) {
            table.compute_root();
        }
    }
    once.find(guide.centre);
    once.by_elements(guide.samples);
    once.by_tiles(guide.column_means.result);
    once.in_tile(guide.column_means, guide.column_means.result);
    once.in_band(guide.column_means.result.in(), guide.solver);
    once.in_band(guide.means, guide.solver);
    once.by_bands_for_bands(guide.solver);
}

// Up to the fit in a band of `of`.
void schedule_fit(ColourGuidedFilterFit &fit, Stages once, Stages channel, Func of) {
    schedule_guide(fit.guide, once);
    channel.whole_plane(fit.input_centre);
    channel.by_rows(fit.input_rows, guard);
    channel.by_elements(fit.samples);
    channel.by_tiles(fit.column_means.result);
    channel.in_tile(fit.column_means, fit.column_means.result);
    channel.in_band(fit.column_means.result.in(), of);
    channel.in_band(fit.means, of);
    channel.in_band(fit.fit, of);
}

// Down to the gradients of the means in a band of `of`.
void schedule_fit_gradient(ColourFitGradient &back, Stages channel, Func of) {
    channel.in_tile(back.d_widened, back.d_column_model.result);
    channel.in_tile(back.d_column_model, back.d_column_model.result);
    channel.by_tiles(back.d_column_model.result);
    channel.in_band(back.d_column_model.result.in(), of);
    channel.in_band(back.d_row_model, of);
    channel.in_band(back.d_fit, of);
    channel.in_band(back.d_means, of);
}

// One of the sums over a group's channels.
void schedule_sum(Func sum, Stages once, const Sizes &s, RVar channel, TailStrategy tail) {
    once.by_rows(sum, tail);
    sum.rename(group, empty_group).parallel(empty_group);
    sum.update()
        .split(y, rows, y, s.task_rows, guard)
        .reorder(x, y, rows, channel, group, n)
        .vectorize(x, s.lanes, tail)
        .parallel(rows)
        .parallel(group)
        .never_partition_all();
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

void compute_whole(const ColourGuide &guide) {
    compute_whole({guide.centre});
    compute_whole({guide.column_means, guide.means});
}

void compute_whole(const ColourGuidedFilterFit &fit) {
    compute_whole(fit.guide);
    compute_whole({fit.input_centre});
    compute_whole({fit.column_means, fit.means});
}

void compute_whole(const ColourFitGradient &back) {
    compute_whole({back.d_widened.sum, back.d_row_model.sum});
    compute_whole({back.d_column_model, back.d_fit});
}

}  // namespace

int channels_of_task(const ColourGuidedFilterKnobs &knobs) {
    return settled_space(knobs)[knobs.task_channels];
}

Expr group_channels(bool on_gpu, const GuidedFilterProblem &problem, const ColourGuidedFilterKnobs &knobs) {
    return on_gpu ? channels_of_chunk(problem, knobs) : Expr(channels_of_task(knobs));
}

void schedule_plainly(ColourGuidedFilter &parts) {
    compute_whole(parts.start);
    compute_whole({parts.row_model, parts.model});
}

void schedule_plainly(ColourGuidedFilterInputGradient &parts) {
    compute_whole(parts.guide);
    compute_whole(parts.back);
    compute_whole({parts.d_row_moments, parts.d_moments});
    compute_whole({parts.d_key_rows.sum, parts.d_key.sum});
}

void schedule_plainly(ColourGuidedFilterGuideGradient &parts) {
    compute_whole(parts.start);
    compute_whole(parts.back);
    compute_whole({parts.d_row_moments, parts.row_model, parts.d_moments, parts.model, parts.d_guide_rows,
                   parts.d_guide_moments});
    compute_whole({parts.of_means, parts.of_products, parts.of_output, parts.all_of_means, parts.all_of_products,
                   parts.all_of_output});
}

void schedule_on_cpu(ColourGuidedFilter &parts, const ColourGuidedFilterKnobs &knobs, const Target &target) {
    const Sizes s(knobs, target, parts.start.guide.problem.type);
    Stages once = once_an_image(parts.output, s), channel = once_a_channel(parts.output, s);
    by_channels(parts.output, s);
    schedule_fit(parts.start, once, channel, parts.model_rows);
    channel.in_band(parts.row_model, parts.model_rows);
    channel.in_band(parts.row_model.result, parts.model_rows);
    channel.by_bands(parts.model_rows);
    channel.by_tiles(parts.model.result);
    channel.in_tile(parts.model, parts.model.result);
    channel.by_elements(parts.widened);
}

void schedule_on_cpu(ColourGuidedFilterInputGradient &parts, const ColourGuidedFilterKnobs &knobs,
                     const Target &target) {
    const Sizes s(knobs, target, parts.guide.problem.type);
    Stages once = once_an_image(parts.d_input, s), channel = once_a_channel(parts.d_input, s);
    by_channels(parts.d_input, s);
    schedule_guide(parts.guide, once);
    schedule_fit_gradient(parts.back, channel, parts.sample_rows);
    channel.in_band(parts.d_row_moments, parts.sample_rows);
    channel.in_band(parts.d_row_moments.result, parts.sample_rows);
    channel.by_bands(parts.sample_rows);
    channel.in_tile(parts.d_moments, parts.d_samples);
    channel.by_tiles(parts.d_samples);
    channel.whole_plane(parts.d_key_rows.sum);
    channel.along_rows(parts.d_key_rows);
    channel.whole_plane(parts.d_key.sum);
    parts.d_key.sum.update().unroll(parts.d_key.pixels.x).never_partition_all();
}

void schedule_on_cpu(ColourGuidedFilterGuideGradient &parts, const ColourGuidedFilterKnobs &knobs,
                     const Target &target) {
    const Sizes s(knobs, target, parts.start.guide.problem.type);
    const Func first = parts.of_means;
    Stages once = once_an_image(parts.d_guide, s),
           channel(s, LoopLevel(first, parts.channel.x), LoopLevel(first, group));
    parts.d_guide.parallel(n).never_partition(n);
    in_row_tasks(parts.d_guide, s, guard);
    parts.d_guide.reorder(c, y, rows, n).unroll(c);

    // One loop over channels, so that the three sums use what it makes.
    schedule_sum(parts.of_means, once, s, parts.channel.x, whole);
    schedule_sum(parts.of_products, once, s, parts.channel.x, whole);
    schedule_sum(parts.of_output, once, s, parts.channel.x, guard);
    for (Func other : {parts.of_products, parts.of_output}) {
        other.compute_with(first, empty_group);
        other.update().compute_with(parts.of_means.update(), parts.channel.x);
    }
    schedule_fit(parts.start, once, channel, parts.sample_rows);
    schedule_fit_gradient(parts.back, channel, parts.sample_rows);
    channel.in_band(parts.d_row_moments, parts.sample_rows);
    channel.in_band(parts.d_row_moments.result, parts.sample_rows);
    channel.in_band(parts.row_model, parts.sample_rows);
    channel.in_band(parts.row_model.result, parts.sample_rows);
    channel.by_bands(parts.sample_rows);
    channel.in_tile(parts.d_moments, parts.d_moments.result);
    channel.by_tiles(parts.d_moments.result);
    channel.in_tile(parts.model, parts.model.result);
    channel.by_tiles(parts.model.result);
    channel.by_elements(parts.widened);

    for (Func total : {parts.all_of_means, parts.all_of_products, parts.all_of_output}) {
        once.by_rows(total);
        total.update().reorder(x, y, total.rvars(0)[0]).vectorize(x, s.lanes, whole).never_partition_all();
    }
    once.in_band(parts.d_guide_rows.scaled, parts.guide_rows);
    once.in_band(parts.d_guide_rows, parts.guide_rows);
    once.in_band(parts.d_guide_rows.result, parts.guide_rows);
    once.by_bands(parts.guide_rows);
    once.in_tile(parts.d_guide_moments, parts.d_samples);
    once.by_tiles(parts.d_samples);
    parts.sample_column.compute_root();
    parts.sample_row.compute_root();
}

}  // namespace upwell
