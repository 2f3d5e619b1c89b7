// GPU schedules (CUDA, OpenCL) of small tensors: a thread is one number.
#include "schedules/contraction.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;

}  // namespace

void schedule_on_gpu(Contraction &parts, const Strides &) {
    const std::vector<Var> i = Contraction::indices();
    constexpr int threads = 64;
    Var line("line"), plane("plane"), block("block"), thread("thread");
    parts.output.fuse(i[0], i[1], line)
        .fuse(i[3], i[4], plane)
        .split(line, block, thread, threads, guard)
        .reorder(thread, block, i[2], plane)
        .gpu_blocks(block, i[2], plane)
        .gpu_threads(thread)
        .never_partition_all();
    parts.sum.compute_at(parts.output, thread);
}

void schedule_on_gpu(ReciprocalRoot &parts) {
    Var block("block"), thread("thread");
    parts.output.gpu_tile(parts.output.args()[0], block, thread, 64, guard).never_partition_all();
}

}  // namespace upwell
