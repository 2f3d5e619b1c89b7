// Statistics and scores of ReSFU's PCDC block, and the sums that their gradients need, of hidden channels that another
// pass kept.
//
// Buffers as pcdc.cpp has them; hidden: W x R pixels of each phase.
#include "algebra/pcdc.h"

#include "kernel.h"
#include "schedules/pcdc.h"

namespace upwell::pcdc {
namespace {

using Halide::Expr, Halide::Func;

template<class Self> class OfHidden : public Kernel<Self> {
protected:
    using Base = Kernel<Self>;
    using typename Base::Input, typename Base::Output;

    void add_hidden() { kept = this->map("hidden", "M',W,R,P,G,N"); }

    Grid grid() {
        const Tile tile = plan(this->where()).tile;
        Grid grid{tile, kept->dim(1).extent(), kept->dim(2).extent(), kept->dim(3).extent(), Expr(), Expr()};
        const auto tiles = [](Expr length, int tile) { return (length + tile - 1) / tile; };
        this->set_size("x tiles", tiles(grid.columns, tile.columns));
        this->set_size("y tiles", tiles(grid.rows, tile.rows));
        return grid;
    }

    Input kept = nullptr;
    Output output = nullptr;
};

class HiddenStatistics : public OfHidden<HiddenStatistics> {
public:
    PcdcKnobs knobs;

    void configure() {
        add_hidden();
        output = out("statistics", "outputs,moments,G,x tiles,y tiles,P,N");
    }

    void generate() {
        const Grid image = grid();
        statistics = std::make_unique<Statistics>(image, Hidden(*kept, image));
        *output = statistics->output;
        fix_outputs();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *statistics, knobs);
        }
    }

private:
    std::unique_ptr<Statistics> statistics;
};

class HiddenScores : public OfHidden<HiddenScores> {
public:
    PcdcKnobs knobs;

    void configure() {
        add_hidden();
        centre = map("centre", "M',G,N");
        score_weight = map("score_weight", "K',M,G,N");
        score_bias = map("score_bias", "K',N");
        output = out("scores", "W,R,P,outputs,N");
    }

    void generate() {
        const Hidden hidden(*kept, grid());
        scores = std::make_unique<Scores>(hidden, *centre, *score_weight, *score_bias, score_weight->dim(1).extent(),
                                          score_weight->dim(2).extent());
        *output = scores->output;
        fix_outputs();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *scores, knobs);
        }
    }

private:
    std::unique_ptr<Scores> scores;
    Input centre = nullptr, score_weight = nullptr, score_bias = nullptr;
};

class HiddenMoments : public OfHidden<HiddenMoments> {
public:
    PcdcKnobs knobs;

    void configure() {
        add_hidden();
        centre = map("centre", "M',G,N");
        d_scores = map("d_scores", "W,R,P,K,N");
        output = out("moments", "outputs,moments,G,x tiles,y tiles,P,N");
    }

    void generate() {
        const Grid image = grid();
        moments = std::make_unique<Moments>(image, Hidden(*kept, image), *centre, *d_scores, d_scores->dim(3).extent());
        *output = moments->output;
        fix_outputs();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *moments, knobs);
        }
    }

private:
    std::unique_ptr<Moments> moments;
    Input centre = nullptr, d_scores = nullptr;
};

}  // namespace
}  // namespace upwell::pcdc

HALIDE_REGISTER_GENERATOR(upwell::pcdc::HiddenStatistics, pcdc_hidden_statistics)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::HiddenScores, pcdc_hidden_scores)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::HiddenMoments, pcdc_hidden_moments)
