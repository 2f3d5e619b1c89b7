// What pcdc.h and pcdc_collect.h state, as many independent sums: every place of a record or map found on its own where
// those scatter, and sums over whole blocks of channels. The same results in the same places.
#pragma once

#include "algebra/pcdc.h"
#include "algebra/pcdc_collect.h"

namespace upwell::pcdc {

// Channels of a sum, rounded up to whole blocks: behind the last of its `count` channels, the weight (o, channel, rest)
// is the last one's and what it weighs is zero.
constexpr int sum_block = 32;
Halide::Func repeat_last(Halide::Func weight, Halide::Expr count);
inline Halide::Expr whole_blocks(Halide::Expr padded) {
    return padded / sum_block * sum_block;
}

// See Scores: one sum over the channels of all groups.
struct JointScores {
    Halide::Func h, sum, output;
    Halide::RDom channels;  // channel, group

    JointScores(const Hidden &hidden, Halide::Func centre, Halide::Func weight, Halide::Func bias, Halide::Expr count,
                Halide::Expr groups);
};

// See DifferenceBackward.
struct GatheredBackward {
    // Places are visited block by block of channels.
    static constexpr int output_block = 32, channel_block = 8;
    struct Columns {
        TileSum tile;
        Halide::RDom places;  // o of a block, i, tap, block
        bool one;             // i and tap have one value: a bias
    };
    std::vector<Columns> weights;
    Halide::Func d_query;  // i, x, row, g, phase, n
    Halide::Func across;   // upsampled: the frame before rows are summed: o, column, row, g, tile_x, phase, n
    Halide::Func frame;    // i (taps) or o (upsampled), column, line, g, tile_x, tile_y, phase, n
    Halide::Func record;   // t, g, tile_x, tile_y, phase, n; its updates: weights', then d_query's, then frame's
    Halide::RDom query_outputs, reached, pixels_across, rows;  // of d_query, frame with taps, across, frame of cells
    // i of a block, row, column, block; of cells: o of a block, column, line, block.
    Halide::RDom query_places, frame_places;

    GatheredBackward(const Difference &difference, Halide::Func d_v, Halide::Func back_weight, Halide::Expr outputs,
                    const Hidden *hidden, const HiddenBackward *adjoint, const RecordLayout &layout);

private:
    void define_query(const Difference &difference, Halide::Func d_v, Halide::Func back_weight, Halide::Expr outputs);
    void define_frame(const Grid &grid, const Taps &taps, Halide::Func d_v, Halide::Func back_weight,
                      Halide::Expr outputs);
    void define_frame(const Grid &grid, const Upsampled &up, Halide::Func d_v);
    Halide::RDom keep(const std::string &name, Halide::Expr start, Halide::Expr columns, Halide::Expr rows,
                      Halide::Expr channels,
                      const std::function<Halide::Expr(Halide::Expr, Halide::Expr, Halide::Expr)> &value);
};

// See CollectedMap.
struct GatheredMap {
    Halide::Func padded;  // x, row, i, g, phase, n, from -reach on
    Halide::RDom tiles;   // that reach a place
    BorderFold fold;

    GatheredMap(Halide::Func frames, Halide::Func row_of, Halide::Func phase_of, Halide::Expr side,
                Halide::Expr reach_x, Halide::Expr reach_y, const Grid &grid);
};

// See CollectedCells.
struct GatheredCells {
    Halide::Func sum, output;
    Halide::RDom tiles;

    GatheredCells(Halide::Func frame, Halide::Func first_column, Halide::Func first_row, Halide::Expr frame_columns,
                  Halide::Expr frame_rows, Halide::Expr tiles_x, Halide::Expr tiles_y);
};

}  // namespace upwell::pcdc
