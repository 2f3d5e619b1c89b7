// GPU schedule of a pixel's weights and of their transpose: a thread has a column, every stage in its registers.
#pragma once

#include "Halide.h"
#include "algebra/reassembly.h"
#include "schedules/window.h"

namespace upwell {

constexpr auto guard = Halide::TailStrategy::GuardWithIf;  // a map may be smaller than a block

// Registers or banks of shared memory that a number takes.
inline int words(const Problem &problem) {
    return problem.type.bytes() / 4;
}

// Samples are blocks of the third dimension, of which a launch has at most 65535.
Halide::Expr samples_of_launch(const Problem &problem);

// The number of threads is at most 256, which find registers, or what the hand schedule takes, and not less than a
// warp.
void require_threads(Space &space, int hand, const std::string &factors, std::function<int(const Space &)> threads);

void add_block_channels(Space &space, const WindowKnobs &knobs);

// Channels of a block whose threads have `rows` pixels each: `chosen`, or for 0 all of them, or fewer where that would
// leave a large device idle.
Halide::Expr channels_of_block(const Problem &problem, int rows, int chosen);

// stored: the stage that keeps the weights, already placed. One pixel row at a time.
void schedule_weights_on_gpu(const Problem &problem, Weights &weights, Halide::Func stored);

// Every pixel's folded weights, found once by a launch of their own.
void schedule_folded_weights_launch(const Problem &problem, Weights &weights, FoldedWeights &folded, int threads_x,
                                    int threads_y);

// at: the loop over the pixels of a thread in the output.
void schedule_weights_backward_on_gpu(ReassemblyWeightBackward &parts, Halide::VarOrRVar at);

}  // namespace upwell
