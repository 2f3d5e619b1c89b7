// The PCDC family: what can be tuned, and one schedule per pass.
#pragma once

#include "Halide.h"
#include "algebra/form.h"
#include "algebra/pcdc.h"
#include "algebra/pcdc_collect.h"
#include "algebra/pcdc_gather.h"
#include "schedules/knobs.h"
#include "schedules/place.h"

namespace upwell::pcdc {

// The tiles of an image, and which of two algorithms finds what has two: on a CPU Scores, DifferenceBackward and
// CollectedX, on a GPU JointScores, GatheredBackward and GatheredX, whose many sums are independent.
struct Plan {
    Tile tile;
    Form form;
};

inline Plan plan(const Where &where) {
    return where.on_gpu() ? Plan{gpu_tile, Form::Gather} : Plan{cpu_tile, Form::Scan};
}

// A register block: channels x pixels that are summed side by side.
struct BlockKnobs {
    Knob channels, pixels;
};

struct PcdcKnobs : Knobs {
    // Of a task, or of a block of threads, where the output is an image. Other outputs are made of tiles.
    Knob tile_columns{this, "tile_columns"}, tile_rows{this, "tile_rows"};
    BlockKnobs difference{{this, "difference_channels"}, {this, "difference_pixels"}};  // v
    BlockKnobs hidden{{this, "hidden_channels"}, {this, "hidden_pixels"}};              // s, h and their gradients
    BlockKnobs scores{{this, "scores_channels"}, {this, "scores_pixels"}};
    BlockKnobs back{{this, "back_channels"}, {this, "back_pixels"}};        // gradient of v
    BlockKnobs spread{{this, "spread_channels"}, {this, "spread_pixels"}};  // gradients of maps
    // Sums over the pixels of a tile: their columns stand for pixels.
    BlockKnobs weights{{this, "weights_channels"}, {this, "weights_pixels"}};
};

void schedule_on_cpu(const Difference &d, Halide::Func stored, Halide::Func output, const PcdcKnobs &knobs,
                     const Halide::Target &target);
void schedule_on_cpu(const Difference &d, const Hidden &hidden, Statistics &s, const PcdcKnobs &knobs,
                     const Halide::Target &target);
void schedule_on_cpu(const Difference &d, const Hidden &hidden, Moments &m, const PcdcKnobs &knobs,
                     const Halide::Target &target);

// Hidden channels that are kept, and what is made of them.
void schedule_on_cpu(const Difference &d, const Hidden &hidden, Halide::Func kept, const PcdcKnobs &knobs,
                     const Halide::Target &target);
void schedule_on_cpu(Statistics &s, const PcdcKnobs &knobs, const Halide::Target &target);
void schedule_on_cpu(Scores &s, const PcdcKnobs &knobs, const Halide::Target &target);
void schedule_on_cpu(Moments &m, const PcdcKnobs &knobs, const Halide::Target &target);

void schedule_on_gpu(const Difference &d, Halide::Func stored, Halide::Func output, const PcdcKnobs &knobs);
void schedule_on_gpu(const Difference &d, const Hidden &hidden, Statistics &s, const PcdcKnobs &knobs);
void schedule_on_gpu(const Difference &d, const Hidden &hidden, Moments &m, const PcdcKnobs &knobs);

// What only one of them has.
void schedule_on_cpu(const Difference &d, const Hidden &hidden, Scores &s, const PcdcKnobs &knobs,
                     const Halide::Target &target);
void schedule_on_cpu(const Difference &d, const Hidden *hidden, HiddenBackward *adjoint, Halide::Func d_v,
                     DifferenceBackward &a, const PcdcKnobs &knobs, const Halide::Target &target);
void schedule_on_cpu(CollectedMap &m, const Halide::Target &target);
void schedule_on_cpu(CollectedTiles &tiles, const Halide::Target &target);
void schedule_on_cpu(CollectedCells &c, const Halide::Target &target);
void schedule_on_gpu(const Difference &d, const Hidden &hidden, JointScores &s, const PcdcKnobs &knobs);
void schedule_on_gpu(const Difference &d, const Hidden *hidden, HiddenBackward *adjoint, Halide::Func d_v,
                     GatheredBackward &a, const PcdcKnobs &knobs);
void schedule_on_gpu(GatheredMap &m);
void schedule_on_gpu(GatheredCells &c);

}  // namespace upwell::pcdc
