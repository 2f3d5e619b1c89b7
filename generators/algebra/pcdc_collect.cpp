#include "algebra/pcdc_collect.h"

namespace upwell::pcdc {

using namespace Halide;

BorderFold::BorderFold(Func padded, Func row_of, Func phase_of, Expr side, Expr reach_x, Expr reach_y, const Grid &grid)
    : left("left"), right("right"), sides_folded("sides_folded"), top("top"), bottom("bottom"), folded("folded"),
      along("along"), output("d_map") {
    const Expr none = Internal::make_zero(padded.types()[0]), height = grid.rows * grid.row_step;
    const RDom beyond(0, reach_x, "beyond");
    left(row, i, g, phase, n) = none;
    left(row, i, g, phase, n) += padded(-1 - beyond, row, i, g, phase, n);
    right(row, i, g, phase, n) = none;
    right(row, i, g, phase, n) += padded(grid.columns + beyond, row, i, g, phase, n);
    sides_folded(x, row, i, g, phase, n) = padded(x, row, i, g, phase, n) +
                                           select(x == 0, left(row, i, g, phase, n), none) +
                                           select(x == grid.columns - 1, right(row, i, g, phase, n), none);
    const RDom outside(0, reach_y, 0, grid.row_step, "outside");
    top(x, i, g, n) = none;
    top(x, i, g, n) += sides_folded(x, -1 - outside.x, i, g, outside.y, n);
    bottom(x, i, g, n) = none;
    bottom(x, i, g, n) += sides_folded(x, grid.rows + outside.x, i, g, outside.y, n);
    const Expr py = clamp(y, 0, height - 1);
    folded(x, y, i, g, n) =
        sides_folded(x, clamp(row_of(py), 0, grid.rows - 1), i, g, clamp(phase_of(py), 0, grid.row_step - 1), n) +
        select(py == 0, top(x, i, g, n), none) + select(py == height - 1, bottom(x, i, g, n), none);

    // The blur with a repeated border is its own transpose.
    const auto at = [&](Expr px) { return folded(clamp(px, 0, grid.columns - 1), y, i, g, n); };
    along(x, y, i, g, n) = blurred(side, at(likely(x)), at(likely(x) - 1) + at(likely(x) + 1));
    output(x, y, i, g, n) = blurred(side, along(x, y, i, g, n),
                                    along(x, max(y - 1, 0), i, g, n) + along(x, min(y + 1, height - 1), i, g, n));
}

CollectedMap::CollectedMap(Func frames, Func row_of, Func phase_of, Expr side, Expr reach_x, Expr reach_y,
                           const Grid &grid)
    : padded("padded") {
    const Expr tiles_x = (grid.columns + grid.tile.columns - 1) / grid.tile.columns,
               tiles_y = (grid.rows + grid.tile.rows - 1) / grid.tile.rows;
    const Expr frame_columns = grid.tile.columns + 2 * reach_x, frame_rows = grid.tile.rows + 2 * reach_y;
    // Tile after tile, in this order: frames overlap.
    tiles = RDom(0, frame_columns, 0, frame_rows, 0, tiles_x, 0, tiles_y, "tiles");
    const RDom &r = tiles;
    padded(x, row, i, g, phase, n) = Internal::make_zero(frames.types()[0]);
    padded(r.x + r.z * grid.tile.columns - reach_x, r.y + r.w * grid.tile.rows - reach_y, i, g, phase, n) +=
        frames(r.x, r.y, i, g, r.z, r.w, phase, n);
    fold = BorderFold(padded, row_of, phase_of, side, reach_x, reach_y, grid);
}

CollectedTiles::CollectedTiles(Func frames, Func row_of, Func phase_of, const Grid &grid) : output("d_map") {
    const Expr row = clamp(row_of(y), 0, grid.rows - 1), phase = clamp(phase_of(y), 0, grid.row_step - 1);
    output(x, y, i, g, n) = frames(x % grid.tile.columns, row % grid.tile.rows, i, g, x / grid.tile.columns,
                                   row / grid.tile.rows, phase, n);
}

CollectedCells::CollectedCells(Func frame, Func first_column, Func first_row, Expr frame_columns, Expr frame_rows,
                               Expr tiles_x, Expr tiles_y, Expr width, Expr height)
    : output("d_coarse"), frames(0, frame_columns, 0, tiles_x, 0, frame_rows, 0, tiles_y, "frames") {
    output(o, x, y, g, n) = Internal::make_zero(frame.types()[0]);
    const RDom &r = frames;
    const Expr cell_x = clamp(first_column(r.y) + r.x, 0, width - 1),
               cell_y = clamp(first_row(r.w) + r.z, 0, height - 1);
    output(o, cell_x, cell_y, g, n) += frame(o, r.x, r.z, g, r.y, r.w, 0, n);
}

}  // namespace upwell::pcdc
