// CPU schedules of small tensors: lanes are the innermost index, a task is one value of the others. What takes less than
// a task costs runs on the thread of the call.
#include "schedules/contraction.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;

// The strides for which loads are vectors or single numbers.
void specialize_strides(Stage stage, const Strides &strides) {
    stage.specialize(strides.left == 1 && strides.right == 1);
    stage.specialize(strides.left == 1 && strides.right == 0);
    stage.specialize(strides.left == 0 && strides.right == 1);
}

}  // namespace

void schedule_on_cpu(Contraction &parts, const Strides &strides, const Target &target) {
    const std::vector<Var> i = Contraction::indices();
    const int lanes = target.natural_vector_size(Float(64));
    constexpr float smallest_task = 1 << 15;
    Var vector("vector"), lane("lane"), task("task");
    Func &output = parts.output;
    const OutputImageParam out = output.output_buffer();
    Expr work = 1.0f;
    for (int d = 0; d < Contraction::kept; d++) {
        work *= cast<float>(out.dim(d).extent());
    }
    for (int d = 0; d < Contraction::summed; d++) {
        work *= cast<float>(parts.over[d].extent());
    }
    output.split(i[0], vector, lane, lanes, guard)
        .vectorize(lane)
        .fuse(i[1], i[2], task)
        .fuse(task, i[3], task)
        .fuse(task, i[4], task);
    parts.sum.compute_at(output, vector).vectorize(i[0]);
    parts.sum.update().reorder(i[0], parts.over[0], parts.over[1], parts.over[2]).vectorize(i[0]);
    Stage large = output.specialize(work > smallest_task);
    large.parallel(task);
    specialize_strides(large, strides);
    specialize_strides(output, strides);
}

void schedule_on_cpu(ReciprocalRoot &parts, const Target &target) {
    Func &line = parts.output;
    line.vectorize(line.args()[0], target.natural_vector_size(line.types()[0]), guard);
}

}  // namespace upwell
