// Statistics of a group normalisation, and their gradient.
#include "algebra/group_statistics.h"

#include "estimates.h"
#include "group_statistics.h"

namespace upwell::group_statistics {
namespace {

using Halide::Expr, Halide::Float;
using AnyBuffer = Halide::Buffer<void>;
using MapInput = Halide::GeneratorInput<AnyBuffer> *;
using MapOutput = Halide::GeneratorOutput<AnyBuffer> *;

// map (W, H, C, N), blur, channels of a group -> mean and variance (2, groups, N).
class Statistics : public Halide::Generator<Statistics> {
public:
    Halide::GeneratorParam<Halide::Type> type{"type", Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};
    Halide::GeneratorParam<std::string> estimates{"estimates", ""};  // see estimates.h
    GroupStatisticsKnobs knobs;

    void configure() {
        map = add_input<AnyBuffer>("map", type, 4);
        side = add_input<Expr>("blur", type);
        channels = add_input<int>("channels");
        output = add_output<AnyBuffer>("statistics", type, 3);
    }

    void generate() {
        parts = std::make_unique<GroupStatistics>(*map, *side, *channels, map->dim(0).extent(), map->dim(1).extent());
        *output = parts->output;
        (*output).dim(0).set_bounds(0, 2);
    }

    void schedule() {
        set_estimates(*this, estimates);
        if (!default_schedule && !using_autoscheduler()) {
            upwell::group_statistics::schedule(*parts, *side, knobs, get_target());
        }
    }

private:
    MapInput map = nullptr;
    Halide::GeneratorInput<Expr> *side = nullptr;
    Halide::GeneratorInput<int> *channels = nullptr;
    MapOutput output = nullptr;
    std::unique_ptr<GroupStatistics> parts;
};

// map (W, H, C, N), blur, scale and shift (C, N) -> d_map (W, H, C, N).
class Adjoint : public Halide::Generator<Adjoint> {
public:
    Halide::GeneratorParam<Halide::Type> type{"type", Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};
    Halide::GeneratorParam<std::string> estimates{"estimates", ""};  // see estimates.h
    GroupStatisticsKnobs knobs;

    void configure() {
        map = add_input<AnyBuffer>("map", type, 4);
        side = add_input<Expr>("blur", type);
        scale = add_input<AnyBuffer>("scale", type, 2);
        shift = add_input<AnyBuffer>("shift", type, 2);
        output = add_output<AnyBuffer>("d_map", type, 4);
    }

    void generate() {
        parts = std::make_unique<GroupStatisticsAdjoint>(*map, *side, *scale, *shift, map->dim(0).extent(),
                                                         map->dim(1).extent());
        *output = parts->output;
    }

    void schedule() {
        set_estimates(*this, estimates);
        if (!default_schedule && !using_autoscheduler()) {
            upwell::group_statistics::schedule(*parts, *side, knobs, get_target());
        }
    }

private:
    MapInput map = nullptr, scale = nullptr, shift = nullptr;
    Halide::GeneratorInput<Expr> *side = nullptr;
    MapOutput output = nullptr;
    std::unique_ptr<GroupStatisticsAdjoint> parts;
};

}  // namespace
}  // namespace upwell::group_statistics

HALIDE_REGISTER_GENERATOR(upwell::group_statistics::Statistics, group_statistics)
HALIDE_REGISTER_GENERATOR(upwell::group_statistics::Adjoint, group_statistics_adjoint)
