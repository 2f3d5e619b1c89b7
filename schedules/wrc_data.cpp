// Schedules of functions of one dimension whose elements have nothing in common.
#include "schedules/wrc_data.h"

#include "algebra/dimensions.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
const Var block("block");

void in_vectors(Func f, const Target &target) {
    constexpr int task = 1 << 14;
    f.split(x, block, x, task, guard).parallel(block).vectorize(x, target.natural_vector_size(f.types()[0]), guard);
}

void in_threads(Func f) {
    constexpr int threads = 256;
    f.gpu_tile(x, block, Var("element"), threads, guard).never_partition_all();
}

}  // namespace

void schedule_on_cpu(WrcData &parts, const Target &target) {
    in_vectors(parts.output, target);
}

void schedule_on_cpu(WrcDataBackward &parts, const Target &target) {
    in_vectors(parts.output, target);
}

void schedule_on_gpu(WrcData &parts) {
    in_threads(parts.output);
}

void schedule_on_gpu(WrcDataBackward &parts) {
    in_threads(parts.output);
}

}  // namespace upwell
