// CPU schedules of softmaxes times factors: lanes are pixels side by side, and a task is a row of them.
#include "schedules/scaled_softmax.h"

namespace upwell::scaled_softmax {

using namespace Halide;

namespace {

constexpr auto guard = TailStrategy::GuardWithIf;
constexpr int vectors = 2;  // of a tile

// Tiles of a row. Returns the loop over them.
LoopLevel by_rows(Func output, int lanes) {
    Var tiles("tiles");
    output.split(x, tiles, x, vectors * lanes, guard)
        .reorder(x, t, tiles, y, n)
        .vectorize(x, lanes, guard)
        .parallel(y)
        .parallel(n);
    return {output, tiles};
}

void reduce(Func f, LoopLevel at, const RDom &each, int lanes) {
    f.compute_at(at).vectorize(x, lanes, guard);
    f.update().reorder(x, each.x).vectorize(x, lanes, guard);
}

void schedule(Weights &w, LoopLevel at, int lanes) {
    w.given.compute_at(at).vectorize(x, lanes, guard);
    reduce(w.largest, at, w.each, lanes);
    w.exponentials.compute_at(at).vectorize(x, lanes, guard);
    reduce(w.sums, at, w.each, lanes);
}

}  // namespace

void schedule_on_cpu(Weights &w, const Target &target) {
    const int lanes = target.natural_vector_size(w.output.types()[0]);
    schedule(w, by_rows(w.output, lanes), lanes);
}

void schedule_on_cpu(Gradients &g, const Target &target) {
    const int lanes = target.natural_vector_size(g.output.types()[0]);
    const LoopLevel at = by_rows(g.output, lanes);
    schedule(g.weights, at, lanes);
    g.given.compute_at(at).vectorize(x, lanes, guard);
    reduce(g.mean, at, g.weights.each, lanes);
}

}  // namespace upwell::scaled_softmax
