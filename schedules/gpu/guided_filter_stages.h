// The launches that guided filters are made of on a GPU. A launch is a stage, a thread one of its places, and
// neighbouring threads are neighbouring columns, so that loads and stores coalesce.
#pragma once

#include "algebra/box.h"
#include "algebra/dimensions.h"
#include "algebra/guided_filter.h"
#include "schedules/knobs.h"

namespace upwell::guided_filter_stages {

inline const Halide::Var chunk("chunk");
inline const Halide::Var block_x("block_x"), block_y("block_y"), thread_x("thread_x"), thread_y("thread_y");

struct BlockSize {
    int columns, rows;
};

// Sizes of blocks and of chunks. What goes along y shares rows, what goes along x columns.
class Blocks {
public:
    // plane: what people call one.
    template<class Knobs> Blocks(const Knobs &knobs, const std::string &plane) {
        Space space;
        space.add(knobs.chunk_pixels, "pixels of a chunk, or one " + plane, 1 << 21,
                  {1 << 19, 1 << 20, 1 << 21, 1 << 22, 1 << 23});
        space.add(knobs.columns_along_x, "columns of a block, along x", 128, {32, 64, 128, 256});
        space.add(knobs.rows_along_x, "rows of a block, along x", 2, {1, 2, 4, 8});
        space.add(knobs.columns_along_y, "columns of a block, along y", 32, {32, 64, 128});
        space.add(knobs.rows_along_y, "rows of a block, along y", 16, {2, 4, 8, 16});
        space.require("a block along x has 64 to 512 threads", [&knobs](const Space &s) {
            const int threads = s[knobs.columns_along_x] * s[knobs.rows_along_x];
            return threads >= 64 && threads <= 512;
        });
        space.require("a block along y has 64 to 512 threads", [&knobs](const Space &s) {
            const int threads = s[knobs.columns_along_y] * s[knobs.rows_along_y];
            return threads >= 64 && threads <= 512;
        });
        space.settle(knobs);
        along_x = {space[knobs.columns_along_x], space[knobs.rows_along_x]};
        along_y = {space[knobs.columns_along_y], space[knobs.rows_along_y]};
        chunk_pixels = space[knobs.chunk_pixels];
    }

    BlockSize along_x, along_y;

    // Enough to fill a GPU, little enough to stay mostly in its L2.
    Halide::Expr planes_of_chunk(const GuidedFilterProblem &p) const {
        constexpr int most = 1 << 10;  // a launch has no more than 65535
        return clamp(chunk_pixels / max(p.width(), 1) / max(p.height(), 1), 1, most);
    }

private:
    int chunk_pixels;
};

template<class Stage> Stage &tiles(Stage &stage, BlockSize size) {
    return stage
        .tile(x, y, block_x, block_y, thread_x, thread_y, size.columns, size.rows, Halide::TailStrategy::GuardWithIf)
        .gpu_threads(thread_x, thread_y)
        .never_partition_all();
}

// Blocks of rows first: there may be more than 65535. plane: the dimension behind x and y, which is one of the blocks
// too, or n alone, image after image.
inline void launch(Halide::Func f, BlockSize size) {
    const Halide::Var plane = f.args()[2];
    tiles(f, size).reorder(thread_x, thread_y, block_y, block_x, plane).gpu_blocks(block_y, block_x);
    if (!plane.same_as(n)) {
        f.gpu_blocks(plane);
    }
}

inline void by_chunks(Halide::Func f, Halide::Expr planes, BlockSize size) {
    f.split(c, chunk, c, planes, Halide::TailStrategy::GuardWithIf);
    launch(f, size);
}

// The sum is found by the thread that stores f.
inline void in_thread(Halide::Func sum, Halide::Func f) {
    sum.compute_at(f, thread_x);
}

// Stages that run at a place of the loops around all launches.
class Stages {
public:
    explicit Stages(Halide::LoopLevel place) : place(std::move(place)) {}

    void stage(Halide::Func f, BlockSize size) {
        f.compute_at(place);
        launch(f, size);
    }

    void stage(Halide::Func f, Halide::Func sum, BlockSize size) {
        stage(f, size);
        in_thread(sum, f);
    }

    void stage(Box &box, BlockSize size) { stage(box.result, box.sum, size); }

private:
    const Halide::LoopLevel place;
};

// One value a place of an axis.
inline void once_a_call(Halide::Func f) {
    Halide::Func all = f.in();
    all.compute_root()
        .gpu_tile(f.args()[0], block_x, thread_x, 32, Halide::TailStrategy::GuardWithIf)
        .never_partition_all();
    f.compute_at(all, thread_x);
}

// A sum over a plane's samples, a block a plane and a thread a sample.
inline void once_a_plane(Halide::Func sum) {
    const std::vector<Halide::RVar> grid = sum.rvars(0);
    Halide::Func sample = sum.update().rfactor({{grid[0], thread_x}, {grid[1], thread_y}}), all = sum.in();
    all.compute_root().split(c, c, block_x, 1).gpu_blocks(c).gpu_threads(block_x);
    sum.compute_at(all, block_x);
    sample.in().compute_at(all, c).gpu_threads(thread_x, thread_y);
    sample.compute_at(sample.in(), thread_x);
}

}  // namespace upwell::guided_filter_stages
