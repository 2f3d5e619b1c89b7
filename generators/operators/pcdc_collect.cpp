// Gradients of whole maps from the records of the PCDC adjoints' tiles.
#include "algebra/pcdc_collect.h"

#include "kernel.h"
#include "schedules/pcdc.h"

namespace upwell::pcdc {
namespace {

// frames (frame columns, frame rows, E, G, x tiles, y tiles, P, N), row_of and phase_of (H), blur, reach_x, reach_y,
// width W, phase_rows -> d_map (W, H, E, G, N).
class CollectMap : public Kernel<CollectMap> {
public:
    void configure() {
        frames = map("frames", "frame columns,frame rows,E,G,x tiles,y tiles,P,N");
        row_of = table("row_of", "H");
        phase_of = table("phase_of", "H");
        side = real("blur");
        reach_x = integer("reach_x");
        reach_y = integer("reach_y");
        width = integer("width");
        phase_rows = integer("phase_rows");
        d_map = out("d_map", "W,H,E,G,N");
    }

    void generate() {
        const auto [tile, form] = plan(where());
        const Grid grid{tile, *width, *phase_rows, size("P"), size("E"), {}};
        if (form == Form::Gather) {
            gathered = std::make_unique<GatheredMap>(*frames, *row_of, *phase_of, *side, *reach_x, *reach_y, grid);
            *d_map = gathered->fold.output;
        } else {
            parts = std::make_unique<CollectedMap>(*frames, *row_of, *phase_of, *side, *reach_x, *reach_y, grid);
            *d_map = parts->fold.output;
        }
    }

    void place() {
        if (default_schedule) {
            return;
        }
        if (gathered) {
            upwell::place(where(), *gathered);
        } else {
            upwell::place(where(), *parts);
        }
    }

private:
    Input frames = nullptr, row_of = nullptr, phase_of = nullptr;
    Real side = nullptr;
    Integer reach_x = nullptr, reach_y = nullptr, width = nullptr, phase_rows = nullptr;
    Output d_map = nullptr;
    std::unique_ptr<CollectedMap> parts;  // or
    std::unique_ptr<GatheredMap> gathered;
};

// frames (tile columns, tile rows, E, G, x tiles, y tiles, P, N), row_of and phase_of (H), width W, phase_rows -> d_map
// (W, H, E, G, N).
class CollectTiles : public Kernel<CollectTiles> {
public:
    void configure() {
        frames = map("frames", "frame columns,frame rows,E,G,x tiles,y tiles,P,N");
        row_of = table("row_of", "H");
        phase_of = table("phase_of", "H");
        width = integer("width");
        phase_rows = integer("phase_rows");
        d_map = out("d_map", "W,H,E,G,N");
    }

    void generate() {
        const Grid grid{plan(where()).tile, *width, *phase_rows, size("P"), size("E"), {}};
        tiles = std::make_unique<CollectedTiles>(*frames, *row_of, *phase_of, grid);
        *d_map = tiles->output;
        set_size("W", *width);
        fix_outputs();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *tiles);
        }
    }

private:
    Input frames = nullptr, row_of = nullptr, phase_of = nullptr;
    Integer width = nullptr, phase_rows = nullptr;
    Output d_map = nullptr;
    std::unique_ptr<CollectedTiles> tiles;
};

// frames (L', frame columns, frame rows, G, x tiles, y tiles, 1, N), first cell of each tile on both axes, width w + 2,
// height h + 2 -> d_coarse (L', w + 2, h + 2, G, N).
class CollectCells : public Kernel<CollectCells> {
public:
    void configure() {
        frames = map("frames", "L',frame columns,frame rows,G,x tiles,y tiles,1,N");
        first_column = table("first_column", "x tiles");
        first_row = table("first_row", "y tiles");
        width = integer("width");
        height = integer("height");
        d_coarse = out("d_coarse", "L',w + 2,h + 2,G,N");
    }

    void generate() {
        const Halide::Expr columns = size("frame columns"), rows = size("frame rows"), tiles_x = size("x tiles"),
                           tiles_y = size("y tiles");
        if (plan(where()).form == Form::Gather) {
            gathered =
                std::make_unique<GatheredCells>(*frames, *first_column, *first_row, columns, rows, tiles_x, tiles_y);
            *d_coarse = gathered->output;
        } else {
            parts = std::make_unique<CollectedCells>(*frames, *first_column, *first_row, columns, rows, tiles_x,
                                                     tiles_y, *width, *height);
            *d_coarse = parts->output;
        }
    }

    void place() {
        if (default_schedule) {
            return;
        }
        if (gathered) {
            upwell::place(where(), *gathered);
        } else {
            upwell::place(where(), *parts);
        }
    }

private:
    Input frames = nullptr, first_column = nullptr, first_row = nullptr;
    Integer width = nullptr, height = nullptr;
    Output d_coarse = nullptr;
    std::unique_ptr<CollectedCells> parts;  // or
    std::unique_ptr<GatheredCells> gathered;
};

}  // namespace
}  // namespace upwell::pcdc

HALIDE_REGISTER_GENERATOR(upwell::pcdc::CollectMap, pcdc_collect)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::CollectCells, pcdc_collect_cells)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::CollectTiles, pcdc_collect_tiles)
