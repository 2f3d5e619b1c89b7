// Paired central difference convolution and the scores of ReSFU's PCDC block: forward passes and adjoints.
//
// Buffers, innermost dimension first. W, H: image; P: phases (row_step), R = H / P rows of a phase; D channels in G
// groups of E; L, M: channels of a group before and after the compressor, L', M', K', T' the same padded to whole
// blocks; K: scores; N: samples; x tiles, y tiles of the target's Tile.
#include "algebra/pcdc.h"

#include "kernel.h"
#include "schedules/pcdc.h"

namespace upwell::pcdc {
namespace {

using Halide::Expr, Halide::Func;

// KeptScoresBackward: ScoresBackward of hidden channels that Hidden wrote; see pcdc_hidden.cpp for what else reads
// them.
enum class Pass {
    Difference,
    DifferenceBackward,
    Hidden,
    Statistics,
    Scores,
    Moments,
    ScoresBackward,
    KeptScoresBackward
};
enum class Key { Map, Upsampled };

template<Pass pass, Key source> class PcdcKernel : public Kernel<PcdcKernel<pass, source>> {
    using Base = Kernel<PcdcKernel<pass, source>>;
    using typename Base::Input, typename Base::Integer, typename Base::Output, typename Base::Real;
    static constexpr bool has_hidden = pass != Pass::Difference && pass != Pass::DifferenceBackward;
    static constexpr bool reads_hidden = pass == Pass::KeptScoresBackward;
    static constexpr bool of_scores_backward = pass == Pass::ScoresBackward || reads_hidden;
    static constexpr bool has_centre = pass == Pass::Scores || pass == Pass::Moments || of_scores_backward;
    static constexpr bool is_backward = pass == Pass::DifferenceBackward || of_scores_backward;

public:
    PcdcKnobs knobs;

    void configure() {
        if (source == Key::Map) {
            key = this->map("key", "W,H,D,N");
            key_centre = this->map("key_centre", "D,N");
            key_weight = this->map("key_weight", "L',E,taps,G,N");
            tap_columns = this->table("tap_columns", "taps");
            tap_rows = this->table("tap_rows", "taps");
            side = this->real("blur");
            reach_x = this->integer("reach_x");
            reach_y = this->integer("reach_y");
        } else {
            coarse = this->map("coarse", "L',w + 2,h + 2,G,N");
            columns = this->table("columns", "W");
            rows = this->table("rows", "H");
            column_fraction = this->map("column_fraction", "W");
            row_fraction = this->map("row_fraction", "H");
            frame_columns = this->integer("frame_columns");
            frame_rows = this->integer("frame_rows");
        }
        query = this->map("query", "W,H,D,N");
        query_centre = this->map("query_centre", "D,N");
        query_weight = this->map("query_weight", "L',E,G,N");
        bias = this->map("bias", "L',G,N");
        phase_rows = this->integer("phase_rows");
        row_step = this->integer("row_step");
        if (has_hidden) {
            floor = this->real("floor");
        }
        if (reads_hidden) {
            kept = this->map("hidden", "M',W,R,P,G,N");
        } else if (has_hidden) {
            compress = this->map("compress", "M',L,G");
            compress_bias = this->map("compress_bias", "M',G");
        }
        if (has_centre) {
            centre = this->map("centre", "M',G,N");
        }
        if (pass == Pass::Scores) {
            score_weight = this->map("score_weight", "K',M,G,N");
            score_bias = this->map("score_bias", "K',N");
        }
        if (pass == Pass::Moments || of_scores_backward) {
            d_scores = this->map("d_scores", "W,R,P,K,N");
        }
        if (of_scores_backward) {
            d_hidden_weight = this->map("d_hidden_weight", "M',K,G,N");
            d_hidden_offset = this->map("d_hidden_offset", "M',G,N");
            d_hidden_slope = this->map("d_hidden_slope", "M',G,N");
            compress_back = this->map("compress_back", "L',M,G");
        }
        if (pass == Pass::DifferenceBackward) {
            d_output = this->map("d_output", "W,R,P,L,G,N");
        }
        if (is_backward) {
            back_weight = this->map("back_weight", "T',L,G,N");
        }
        output = pass == Pass::Difference   ? this->out("output", "W,R,P,outputs,G,N")
                 : pass == Pass::Hidden     ? this->out("hidden", "M',W,R,P,G,N")
                 : pass == Pass::Statistics ? this->out("statistics", "outputs,moments,G,x tiles,y tiles,P,N")
                 : pass == Pass::Scores     ? this->out("scores", "W,R,P,outputs,N")
                 : pass == Pass::Moments    ? this->out("moments", "outputs,moments,G,x tiles,y tiles,P,N")
                                            : this->out("gradients", "record,G,x tiles,y tiles,P,N");
    }

    void generate() {
        const auto [tile, chosen] = plan(this->where());
        form = chosen;
        grid = {tile,      query->dim(0).extent(),        *phase_rows,
                *row_step, query_weight->dim(1).extent(), query->dim(2).extent()};
        difference.grid = grid;
        if (source == Key::Map) {
            difference.taps = (Taps{stage("key", *key, *key_centre, *side, grid), *key_weight, *tap_columns, *tap_rows,
                                    key_weight->dim(2).extent(), *reach_x, *reach_y});
        } else {
            difference.upsampled =
                (Upsampled{*coarse, *columns, *column_fraction, *rows, *row_fraction, coarse->dim(1).extent(),
                           coarse->dim(2).extent(), *frame_columns, *frame_rows});
        }
        difference.query = stage("query", *query, *query_centre, Expr(), grid);
        difference.query_weight = *query_weight;
        difference.define(*bias);
        if constexpr (reads_hidden) {
            hidden = std::make_unique<Hidden>(*kept, difference, *floor);
        } else if constexpr (has_hidden) {
            const Expr channels = compress->dim(1).extent();
            hidden = form == Form::Gather
                         ? std::make_unique<Hidden>(difference, *floor, repeat_last(*compress, channels),
                                                    *compress_bias, whole_blocks(bias->dim(0).extent()))
                         : std::make_unique<Hidden>(difference, *floor, *compress, *compress_bias, channels);
        }
        generate_pass();
        set_sizes();
        this->fix_outputs();
        if (form == Form::Gather) {
            align_weights();
        }
    }

    void place() {
        if (this->default_schedule) {
            return;
        }
        const Where where = this->where();
        if constexpr (pass == Pass::Difference) {
            upwell::place(where, difference, image, Func(*output), knobs);
        } else if constexpr (pass == Pass::Statistics) {
            upwell::place(where, difference, *hidden, *statistics, knobs);
        } else if constexpr (pass == Pass::Hidden) {
            upwell::place(where, difference, *hidden, Func(*output), knobs);
        } else if constexpr (pass == Pass::Moments) {
            upwell::place(where, difference, *hidden, *moments, knobs);
        } else if constexpr (pass == Pass::Scores) {
            if (joint_scores) {
                upwell::place(where, difference, *hidden, *joint_scores, knobs);
            } else {
                upwell::place(where, difference, *hidden, *scores, knobs);
            }
        } else if (gathered) {
            upwell::place(where, difference, hidden.get(), hidden_backward.get(), image, *gathered, knobs);
        } else {
            upwell::place(where, difference, hidden.get(), hidden_backward.get(), image, *adjoint, knobs);
        }
    }

private:
    void generate_pass() {
        if constexpr (pass == Pass::Difference) {
            image = Func("stored");
            image(o, x, row, g, phase, n) = difference.v(o, x, row, g, phase, n);
            Func planar("planar");
            planar(x, row, phase, o, g, n) = image(o, x, row, g, phase, n);
            *output = planar;
        } else if constexpr (pass == Pass::Statistics) {
            statistics = std::make_unique<Statistics>(grid, *hidden);
            *output = statistics->output;
        } else if constexpr (pass == Pass::Hidden) {
            *output = hidden->image();
        } else if constexpr (pass == Pass::Scores) {
            const Expr channels = score_weight->dim(1).extent(), groups = score_weight->dim(2).extent();
            if (form == Form::Gather) {
                joint_scores =
                    std::make_unique<JointScores>(*hidden, *centre, repeat_last(*score_weight, channels), *score_bias,
                                                  whole_blocks(centre->dim(0).extent()), groups);
                *output = joint_scores->output;
            } else {
                scores = std::make_unique<Scores>(*hidden, *centre, *score_weight, *score_bias, channels, groups);
                *output = scores->output;
            }
        } else if constexpr (pass == Pass::Moments) {
            // A GPU's blocks of scores are whole: there it would only take registers.
            const Expr scores = form == Form::Scan ? d_scores->dim(3).extent() : Expr();
            moments = std::make_unique<Moments>(grid, *hidden, *centre, *d_scores, scores);
            *output = moments->output;
        } else {
            generate_backward();
        }
    }

    void generate_backward() {
        const Expr outputs = back_weight->dim(1).extent();
        if constexpr (of_scores_backward) {
            const Expr hidden_channels = compress_back->dim(1).extent();
            hidden_backward = std::make_unique<HiddenBackward>(
                grid, *hidden, *centre, *d_scores, *d_hidden_weight, *d_hidden_offset, *d_hidden_slope,
                d_hidden_weight->dim(1).extent(), *floor, *compress_back, hidden_channels);
            image = hidden_backward->d_v;
        } else {
            image = stage_gradient(*d_output, outputs, grid);
        }
        if (form == Form::Gather) {
            gathered = std::make_unique<GatheredBackward>(difference, image, *back_weight, outputs, hidden.get(),
                                                          hidden_backward.get(), layout());
            *output = gathered->record;
            return;
        }
        adjoint = std::make_unique<DifferenceBackward>(difference, image, *back_weight, outputs, hidden.get(),
                                                       hidden_backward.get(), layout());
        *output = adjoint->output;
    }

    RecordLayout layout() const {
        const Expr taps = key_weight ? key_weight->dim(2).extent() : Expr(0);
        const RecordColumns<Expr> first{grid.channels, taps};
        const Expr columns = has_hidden ? first.compressor() + back_weight->dim(1).extent() + 1 : first.compressor();
        const bool of_key = source == Key::Map;
        return {grid.tile,
                bias->dim(0).extent(),
                columns,
                grid.channels,
                of_key ? grid.tile.columns + 2 * *reach_x : Expr(*frame_columns),
                of_key ? grid.tile.rows + 2 * *reach_y : Expr(*frame_rows),
                of_key};
    }

    // Weights have whole blocks of channels, so that their lines are whole vectors apart. A GPU reads vectors of 4.
    void align_weights() {
        for (Input weights :
             {key_weight, coarse, query_weight, bias, compress, compress_bias, centre, score_weight, score_bias,
              d_hidden_weight, d_hidden_offset, d_hidden_slope, compress_back, back_weight}) {
            if (!weights) {
                continue;
            }
            weights->dim(0).set_min(0);
            for (int d = 1; d < weights->dimensions(); d++) {
                weights->dim(d).set_stride(weights->dim(d).stride() / 4 * 4);
            }
        }
    }

    // Extents follow from the image and the weights, so that bounds of tiles are exact.
    void set_sizes() {
        const auto tiles = [](Expr length, int tile) { return (length + tile - 1) / tile; };
        this->set_size("W", grid.columns);
        this->set_size("R", grid.rows);
        this->set_size("P", grid.row_step);
        this->set_size("G", query_weight->dim(2).extent());
        this->set_size("N", query->dim(3).extent());
        this->set_size("x tiles", tiles(grid.columns, grid.tile.columns));
        this->set_size("y tiles", tiles(grid.rows, grid.tile.rows));
    }

    Form form = Form::Scan;
    Grid grid;
    Difference difference;
    Func image;  // v, or its gradient
    std::unique_ptr<Hidden> hidden;
    std::unique_ptr<Statistics> statistics;
    std::unique_ptr<Scores> scores;  // or
    std::unique_ptr<JointScores> joint_scores;
    std::unique_ptr<Moments> moments;
    std::unique_ptr<HiddenBackward> hidden_backward;
    std::unique_ptr<DifferenceBackward> adjoint;  // or
    std::unique_ptr<GatheredBackward> gathered;

    Input key = nullptr, key_centre = nullptr, key_weight = nullptr, tap_columns = nullptr, tap_rows = nullptr,
          coarse = nullptr, columns = nullptr, rows = nullptr, column_fraction = nullptr, row_fraction = nullptr,
          query = nullptr, query_centre = nullptr, query_weight = nullptr, bias = nullptr, compress = nullptr,
          compress_bias = nullptr, centre = nullptr, score_weight = nullptr, score_bias = nullptr, d_scores = nullptr,
          d_hidden_weight = nullptr, d_hidden_offset = nullptr, d_hidden_slope = nullptr, compress_back = nullptr,
          d_output = nullptr, back_weight = nullptr;
    Integer phase_rows = nullptr, row_step = nullptr, reach_x = nullptr, reach_y = nullptr, frame_columns = nullptr,
            frame_rows = nullptr;
    Real side = nullptr, floor = nullptr;
    Input kept = nullptr;
    Output output = nullptr;
};

using difference = PcdcKernel<Pass::Difference, Key::Map>;
using difference_backward = PcdcKernel<Pass::DifferenceBackward, Key::Map>;
using statistics = PcdcKernel<Pass::Statistics, Key::Map>;
using scores = PcdcKernel<Pass::Scores, Key::Map>;
using moments = PcdcKernel<Pass::Moments, Key::Map>;
using scores_backward = PcdcKernel<Pass::ScoresBackward, Key::Map>;
using upsampled_statistics = PcdcKernel<Pass::Statistics, Key::Upsampled>;
using upsampled_scores = PcdcKernel<Pass::Scores, Key::Upsampled>;
using upsampled_moments = PcdcKernel<Pass::Moments, Key::Upsampled>;
using upsampled_scores_backward = PcdcKernel<Pass::ScoresBackward, Key::Upsampled>;
using hidden = PcdcKernel<Pass::Hidden, Key::Map>;
using hidden_scores_backward = PcdcKernel<Pass::KeptScoresBackward, Key::Map>;
using upsampled_hidden = PcdcKernel<Pass::Hidden, Key::Upsampled>;
using upsampled_hidden_scores_backward = PcdcKernel<Pass::KeptScoresBackward, Key::Upsampled>;

}  // namespace
}  // namespace upwell::pcdc

HALIDE_REGISTER_GENERATOR(upwell::pcdc::difference, pcdc)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::difference_backward, pcdc_backward)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::statistics, pcdc_statistics)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::scores, pcdc_scores)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::moments, pcdc_moments)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::scores_backward, pcdc_scores_backward)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_statistics, pcdc_upsampled_statistics)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_scores, pcdc_upsampled_scores)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_moments, pcdc_upsampled_moments)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_scores_backward, pcdc_upsampled_scores_backward)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::hidden, pcdc_hidden)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::hidden_scores_backward, pcdc_hidden_scores_backward)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_hidden, pcdc_upsampled_hidden)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_hidden_scores_backward, pcdc_upsampled_hidden_scores_backward)
