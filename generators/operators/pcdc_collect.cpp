// Gradients of whole maps from the records of the PCDC adjoints' tiles.
#include "algebra/pcdc_collect.h"

#include "estimates.h"
#include "pcdc.h"

namespace upwell::pcdc {
namespace {

using Halide::Float, Halide::Int;
using AnyBuffer = Halide::Buffer<void>;

// frames (frame columns, frame rows, E, G, x tiles, y tiles, P, N), row_of and phase_of (H), blur, reach_x, reach_y,
// width W, phase_rows -> d_map (W, H, E, G, N).
class CollectMap : public Halide::Generator<CollectMap> {
public:
    Halide::GeneratorParam<Halide::Type> type{"type", Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};
    Halide::GeneratorParam<std::string> estimates{"estimates", ""};  // see estimates.h

    void configure() {
        frames = add_input<AnyBuffer>("frames", type, 8);
        row_of = add_input<AnyBuffer>("row_of", Int(32), 1);
        phase_of = add_input<AnyBuffer>("phase_of", Int(32), 1);
        side = add_input<Halide::Expr>("blur", type);
        reach_x = add_input<int>("reach_x");
        reach_y = add_input<int>("reach_y");
        width = add_input<int>("width");
        phase_rows = add_input<int>("phase_rows");
        d_map = add_output<AnyBuffer>("d_map", type, 5);
    }

    void generate() {
        const Grid grid{tile_for(get_target()),  *width, *phase_rows, frames->dim(6).extent(),
                        frames->dim(2).extent(), {}};
        if (get_target().has_gpu_feature()) {
            gathered = std::make_unique<GatheredMap>(*frames, *row_of, *phase_of, *side, *reach_x, *reach_y, grid);
            *d_map = gathered->fold.output;
        } else {
            parts = std::make_unique<CollectedMap>(*frames, *row_of, *phase_of, *side, *reach_x, *reach_y, grid);
            *d_map = parts->fold.output;
        }
    }

    void schedule() {
        set_estimates(*this, estimates);
        if (default_schedule || using_autoscheduler()) {
            return;
        }
        if (gathered) {
            upwell::pcdc::schedule(*gathered);
        } else {
            upwell::pcdc::schedule(*parts, get_target());
        }
    }

private:
    Halide::GeneratorInput<AnyBuffer> *frames, *row_of, *phase_of;
    Halide::GeneratorInput<Halide::Expr> *side;
    Halide::GeneratorInput<int> *reach_x, *reach_y, *width, *phase_rows;
    Halide::GeneratorOutput<AnyBuffer> *d_map;
    std::unique_ptr<CollectedMap> parts;  // or, on a GPU,
    std::unique_ptr<GatheredMap> gathered;
};

// frames (L', frame columns, frame rows, G, x tiles, y tiles, 1, N), first cell of each tile on both axes, width w + 2,
// height h + 2 -> d_coarse (L', w + 2, h + 2, G, N).
class CollectCells : public Halide::Generator<CollectCells> {
public:
    Halide::GeneratorParam<Halide::Type> type{"type", Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};
    Halide::GeneratorParam<std::string> estimates{"estimates", ""};  // see estimates.h

    void configure() {
        frames = add_input<AnyBuffer>("frames", type, 8);
        first_column = add_input<AnyBuffer>("first_column", Int(32), 1);
        first_row = add_input<AnyBuffer>("first_row", Int(32), 1);
        width = add_input<int>("width");
        height = add_input<int>("height");
        d_coarse = add_output<AnyBuffer>("d_coarse", type, 5);
    }

    void generate() {
        const Halide::Expr columns = frames->dim(1).extent(), rows = frames->dim(2).extent(),
                           tiles_x = frames->dim(4).extent(), tiles_y = frames->dim(5).extent();
        if (get_target().has_gpu_feature()) {
            gathered =
                std::make_unique<GatheredCells>(*frames, *first_column, *first_row, columns, rows, tiles_x, tiles_y);
            *d_coarse = gathered->output;
        } else {
            parts = std::make_unique<CollectedCells>(*frames, *first_column, *first_row, columns, rows, tiles_x,
                                                     tiles_y, *width, *height);
            *d_coarse = parts->output;
        }
    }

    void schedule() {
        set_estimates(*this, estimates);
        if (default_schedule || using_autoscheduler()) {
            return;
        }
        if (gathered) {
            upwell::pcdc::schedule(*gathered);
        } else {
            upwell::pcdc::schedule(*parts, get_target());
        }
    }

private:
    Halide::GeneratorInput<AnyBuffer> *frames, *first_column, *first_row;
    Halide::GeneratorInput<int> *width, *height;
    Halide::GeneratorOutput<AnyBuffer> *d_coarse;
    std::unique_ptr<CollectedCells> parts;  // or, on a GPU,
    std::unique_ptr<GatheredCells> gathered;
};

}  // namespace
}  // namespace upwell::pcdc

HALIDE_REGISTER_GENERATOR(upwell::pcdc::CollectMap, pcdc_collect)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::CollectCells, pcdc_collect_cells)
