// The window-kernel family: what can be tuned, and one schedule per direction and target.
#pragma once

#include "Halide.h"
#include "algebra/reassembly.h"
#include "schedules/knobs.h"
#include "schedules/place.h"

namespace upwell {

// Every value that the space of a kernel allows gives the same answer.
struct WindowKnobs : Knobs {
    // Register blocks.
    Knob unroll_rows{this, "unroll_rows"};
    Knob unroll_channels{this, "unroll_channels"};
    Knob unroll_vectors{this, "unroll_vectors"};
    Knob unroll_sum{this, "unroll_sum"};
    // Tasks of a CPU.
    Knob strip_rows{this, "strip_rows"};
    Knob sum_channels{this, "sum_channels"};
    Knob block_columns{this, "block_columns"};
    Knob loop_order{this, "loop_order"};
    Knob map_rows{this, "map_rows"};
    // Blocks of a GPU.
    Knob threads_x{this, "threads_x"};
    Knob threads_y{this, "threads_y"};
    Knob threads_z{this, "threads_z"};
    Knob block_channels{this, "block_channels"};
    Knob tile_cells{this, "tile_cells"};
    Knob tile_rows{this, "tile_rows"};
    Knob tile_channels{this, "tile_channels"};
};

// Places every stage.
void schedule_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_on_cpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_on_cpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_on_gpu(Reassembly &parts, const WindowKnobs &knobs);
void schedule_on_gpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs);
void schedule_on_gpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs);

// How numbers of a type lie in memory: CUDA converts float16 in one instruction, OpenCL may not know it.
Storage storage(Halide::Type type, const Where &where);

// How the schedule wants d_value divided, if it does; knobs: of the kernel that makes it, else null.
std::optional<Tile> tile_of_d_value(const Problem &problem, const WindowKnobs *knobs, const Where &where);

// Where every low-res cell has the same ratio x ratio pixels.
void schedule_exact_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_exact_on_cpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_exact_on_cpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs, const Halide::Target &target);

// Where cells differ.
void schedule_any_size_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_any_size_on_cpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_any_size_on_cpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs, const Halide::Target &target);

// Where cells differ and channels are few.
void schedule_few_channels_on_cpu(Reassembly &parts, const WindowKnobs &knobs, const Halide::Target &target);
void schedule_few_channels_on_cpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs,
                                  const Halide::Target &target);
void schedule_few_channels_on_cpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs,
                                  const Halide::Target &target);

// How the GPU schedules want d_value divided.
Tile choose_tile(const Problem &problem);
Tile choose_tile(const Problem &problem, const WindowKnobs &knobs);  // what the knobs say of it

void schedule_exact_on_gpu(Reassembly &parts, const WindowKnobs &knobs);
void schedule_exact_on_gpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs);
void schedule_exact_on_gpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs);

void schedule_any_size_on_gpu(Reassembly &parts, const WindowKnobs &knobs);
void schedule_any_size_on_gpu(ReassemblyValueBackward &parts, const WindowKnobs &knobs);
void schedule_any_size_on_gpu(ReassemblyWeightBackward &parts, const WindowKnobs &knobs);

}  // namespace upwell
