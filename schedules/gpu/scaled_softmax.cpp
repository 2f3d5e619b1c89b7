// GPU schedules (CUDA, OpenCL) of softmaxes times factors: a thread is a pixel. It reads the scores of its taps again
// for each sum, which takes no memory and no registers.
#include "schedules/scaled_softmax.h"
#include "schedules/gpu/pixels.h"

namespace upwell::scaled_softmax {

using namespace Halide;
using pixels::thread_x;

namespace {

void in_thread(Func reduced, Func output) {
    reduced.compute_at(output, thread_x).update().never_partition_all();
}

}  // namespace

void schedule_on_gpu(Weights &w) {
    pixels::launch(w.output, x, y, {t}, {n});
    in_thread(w.largest, w.output);
    in_thread(w.sums, w.output);
}

void schedule_on_gpu(Gradients &g) {
    pixels::launch(g.output, x, y, {t}, {n});
    for (Func reduced : {g.weights.largest, g.weights.sums, g.mean}) {
        in_thread(reduced, g.output);
    }
}

}  // namespace upwell::scaled_softmax
