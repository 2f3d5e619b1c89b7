// CPU schedules of small tensors: lanes are the innermost index, a task is one value of the outer three. What takes less than
// a task costs runs on the thread of the call.
#include "schedules/contraction.h"

namespace upwell {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;

// The strides for which loads are vectors or single numbers.
void specialize_strides(Stage stage, const Strides &strides) {
    for (const int left : {1, 0}) {
        for (const int right : {1, 0}) {
            for (const int offset : {0, 1}) {
                stage.specialize(strides.left == left && strides.right == right && strides.offset == offset);
            }
        }
    }
}

}  // namespace

void schedule_on_cpu(Contraction &parts, const Strides &strides, const Target &target) {
    const std::vector<Var> i = Contraction::indices();
    const int lanes = target.natural_vector_size(parts.output.types()[0]);
    constexpr float smallest_task = 1 << 15;
    Var vector("vector"), lane("lane");
    Func &output = parts.output;
    const OutputImageParam out = output.output_buffer();
    Expr work = 1.0f;
    for (int d = 0; d < Contraction::kept; d++) {
        work *= cast<float>(out.dim(d).extent());
    }
    for (int d = 0; d < Contraction::summed; d++) {
        work *= cast<float>(parts.over[d].extent());
    }
    // Indices stay apart: of a fused one Halide no longer sees that a task needs one value of each.
    output.split(i[0], vector, lane, lanes, guard).vectorize(lane);
    parts.sum.compute_at(output, vector).bound_extent(i[0], lanes).vectorize(i[0]).store_in(MemoryType::Stack);
    parts.sum.update().reorder(i[0], parts.over[0], parts.over[1], parts.over[2]).vectorize(i[0]);
    Stage large = output.specialize(work > smallest_task);
    large.parallel(i[2]).parallel(i[3]).parallel(i[4]);
    specialize_strides(large, strides);
    specialize_strides(output, strides);
}

void schedule_on_cpu(ReciprocalRoot &parts, const Target &target) {
    Func &line = parts.output;
    line.vectorize(line.args()[0], target.natural_vector_size(line.types()[0]), guard);
}

}  // namespace upwell
