// Statistics of a group normalisation, and their gradient.
#include "algebra/group_stats.h"

#include "kernel.h"
#include "schedules/group_stats.h"

namespace upwell::group_stats {
namespace {

// map (W, H, C, N), blur, channels of a group -> mean and variance (2, groups, N).
class Statistics : public Kernel<Statistics> {
public:
    GroupStatsKnobs knobs;

    void configure() {
        x = map("map", "W,H,C,N");
        side = real("blur");
        channels = integer("channels");
        output = out("statistics", "2,G,N");
    }

    void generate() {
        parts = std::make_unique<GroupStats>(*x, *side, *channels, size("W"), size("H"));
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
    std::unique_ptr<GroupStats> parts;
};

// map (W, H, C, N), blur, scale and shift (C, N), what else its gradient has (W, H, C, N) -> d_map (W, H, C, N).
class Backward : public Kernel<Backward> {
public:
    GroupStatsKnobs knobs;

    void configure() {
        x = map("map", "W,H,C,N");
        side = real("blur");
        scale = map("scale", "C,N");
        shift = map("shift", "C,N");
        added = map("added", "W,H,C,N");
        output = out("d_map", "W,H,C,N");
    }

    void generate() {
        parts = std::make_unique<GroupStatsBackward>(*x, *side, *scale, *shift, *added, size("W"), size("H"));
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
    std::unique_ptr<GroupStatsBackward> parts;
};

}  // namespace
}  // namespace upwell::group_stats

HALIDE_REGISTER_GENERATOR(upwell::group_stats::Statistics, group_stats)
HALIDE_REGISTER_GENERATOR(upwell::group_stats::Backward, group_stats_backward)
