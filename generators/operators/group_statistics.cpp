// Statistics of a group normalisation, and their gradient.
#include "algebra/group_statistics.h"

#include "kernel.h"
#include "schedules/group_statistics.h"

namespace upwell::group_statistics {
namespace {

// map (W, H, C, N), blur, channels of a group -> mean and variance (2, groups, N).
class Statistics : public Kernel<Statistics> {
public:
    GroupStatisticsKnobs knobs;

    void configure() {
        x = map("map", "W,H,C,N");
        side = real("blur");
        channels = integer("channels");
        output = out("statistics", "2,G,N");
    }

    void generate() {
        parts = std::make_unique<GroupStatistics>(*x, *side, *channels, size("W"), size("H"));
        *output = parts->output;
        fix_outputs();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *parts, Halide::Expr(*side), knobs);
        }
    }

private:
    Input x = nullptr;
    Real side = nullptr;
    Integer channels = nullptr;
    Output output = nullptr;
    std::unique_ptr<GroupStatistics> parts;
};

// map (W, H, C, N), blur, scale and shift (C, N), what else its gradient has (W, H, C, N) -> d_map (W, H, C, N).
class Adjoint : public Kernel<Adjoint> {
public:
    GroupStatisticsKnobs knobs;

    void configure() {
        x = map("map", "W,H,C,N");
        side = real("blur");
        scale = map("scale", "C,N");
        shift = map("shift", "C,N");
        added = map("added", "W,H,C,N");
        output = out("d_map", "W,H,C,N");
    }

    void generate() {
        parts = std::make_unique<GroupStatisticsAdjoint>(*x, *side, *scale, *shift, *added, size("W"), size("H"));
        *output = parts->output;
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *parts, Halide::Expr(*side), knobs);
        }
    }

private:
    Input x = nullptr, scale = nullptr, shift = nullptr, added = nullptr;
    Real side = nullptr;
    Output output = nullptr;
    std::unique_ptr<GroupStatisticsAdjoint> parts;
};

}  // namespace
}  // namespace upwell::group_statistics

HALIDE_REGISTER_GENERATOR(upwell::group_statistics::Statistics, group_statistics)
HALIDE_REGISTER_GENERATOR(upwell::group_statistics::Adjoint, group_statistics_adjoint)
