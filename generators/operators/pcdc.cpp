// Paired central difference convolution and the scores of ReSFU's PCDC block: forward passes and adjoints.
//
// Buffers, innermost dimension first. W, H: image; P: phases (row_step), R = H / P rows of a phase; D channels in G
// groups of E; L, M: channels of a group before and after the compressor, L', M', K', T' the same padded to whole
// blocks; K: scores; N: samples; x tiles, y tiles of the target's Tile.
#include "algebra/pcdc.h"

#include "estimates.h"
#include "pcdc.h"

namespace upwell::pcdc {
namespace {

using Halide::Expr, Halide::Func;

enum class Pass { Difference, DifferenceAdjoint, Statistics, Scores, Moments, ScoresAdjoint };
enum class Key { Map, Upsampled };

template<Pass pass, Key source> class PcdcGenerator : public Halide::Generator<PcdcGenerator<pass, source>> {
    using Base = Halide::Generator<PcdcGenerator<pass, source>>;
    using Buffer = Halide::Buffer<void>;
    static constexpr bool has_hidden = pass != Pass::Difference && pass != Pass::DifferenceAdjoint;
    static constexpr bool has_centre = pass == Pass::Scores || pass == Pass::Moments || pass == Pass::ScoresAdjoint;
    static constexpr bool is_adjoint = pass == Pass::DifferenceAdjoint || pass == Pass::ScoresAdjoint;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};
    Halide::GeneratorParam<std::string> estimates{"estimates", ""};  // see estimates.h
    PcdcKnobs knobs;

    void configure() {
        if (source == Key::Map) {
            key = map("key", 4);                // W, H, D, N
            key_centre = map("key_centre", 2);  // D, N
            key_weight = map("key_weight", 5);  // L', E, taps, G, N
            tap_columns = table("tap_columns");
            tap_rows = table("tap_rows");
            side = real("blur");
            reach_x = integer("reach_x");
            reach_y = integer("reach_y");
        } else {
            coarse = map("coarse", 5);  // L', w + 2, h + 2, G, N
            columns = table("columns");
            rows = table("rows");
            column_fraction = map("column_fraction", 1);
            row_fraction = map("row_fraction", 1);
            frame_columns = integer("frame_columns");
            frame_rows = integer("frame_rows");
        }
        query = map("query", 4);                // W, H, D, N
        query_centre = map("query_centre", 2);  // D, N
        query_weight = map("query_weight", 4);  // L', E, G, N
        bias = map("bias", 3);                  // L', G, N
        phase_rows = integer("phase_rows");
        row_step = integer("row_step");
        if (has_hidden) {
            floor = real("floor");
            compress = map("compress", 3);            // M', L, G
            compress_bias = map("compress_bias", 2);  // M', G
        }
        if (has_centre) {
            centre = map("centre", 3);  // M', G, N
        }
        if (pass == Pass::Scores) {
            score_weight = map("score_weight", 4);  // K', M, G, N
            score_bias = map("score_bias", 2);      // K', N
        }
        if (pass == Pass::Moments || pass == Pass::ScoresAdjoint) {
            d_scores = map("d_scores", 5);  // W, R, P, K, N
        }
        if (pass == Pass::ScoresAdjoint) {
            d_hidden_weight = map("d_hidden_weight", 4);  // M', K, G, N
            d_hidden_offset = map("d_hidden_offset", 3);  // M', G, N
            d_hidden_slope = map("d_hidden_slope", 3);    // M', G, N
            compress_back = map("compress_back", 3);      // L', M, G
        }
        if (pass == Pass::DifferenceAdjoint) {
            d_output = map("d_output", 6);  // W, R, P, L, G, N
        }
        if (is_adjoint) {
            back_weight = map("back_weight", 4);  // T', L, G, N
        }
        switch (pass) {
        case Pass::Difference:
            output = out("output", 6);  // W, R, P, L, G, N
            break;
        case Pass::Statistics:
            output = out("statistics", 7);  // M', 2, G, x tiles, y tiles, P, N
            break;
        case Pass::Scores:
            output = out("scores", 5);  // W, R, P, K, N
            break;
        case Pass::Moments:
            output = out("moments", 7);  // M', K, G, x tiles, y tiles, P, N
            break;
        default:
            output = out("gradients", 6);  // record, G, x tiles, y tiles, P, N
        }
    }

    void generate() {
        grid = {tile_for(Base::get_target()),  query->dim(0).extent(), *phase_rows, *row_step,
                query_weight->dim(1).extent(), query->dim(2).extent()};
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
        if constexpr (has_hidden) {
            const Expr channels = compress->dim(1).extent();
            hidden = on_gpu() ? std::make_unique<Hidden>(difference, *floor, repeat_last(*compress, channels),
                                                         *compress_bias, whole_blocks(bias->dim(0).extent()))
                              : std::make_unique<Hidden>(difference, *floor, *compress, *compress_bias, channels);
        }
        generate_pass();
        fix_sizes();
        if (on_gpu()) {
            align_weights();
        }
    }

    void schedule() {
        set_estimates(*this, estimates);
        if (default_schedule || Base::using_autoscheduler()) {
            return;
        }
        const Halide::Target target = Base::get_target();
        if constexpr (pass == Pass::Difference) {
            upwell::pcdc::schedule(difference, image, *output, knobs, target);
        } else if constexpr (pass == Pass::Statistics) {
            upwell::pcdc::schedule(difference, *hidden, *statistics, knobs, target);
        } else if constexpr (pass == Pass::Scores) {
            if (joint_scores) {
                upwell::pcdc::schedule(difference, *hidden, *joint_scores, knobs);
            } else {
                upwell::pcdc::schedule(difference, *hidden, *scores, knobs, target);
            }
        } else if constexpr (pass == Pass::Moments) {
            upwell::pcdc::schedule(difference, *hidden, *moments, knobs, target);
        } else if (gathered) {
            upwell::pcdc::schedule(difference, hidden.get(), hidden_adjoint.get(), image, *gathered, knobs);
        } else {
            upwell::pcdc::schedule(difference, hidden.get(), hidden_adjoint.get(), image, *adjoint, knobs, target);
        }
    }

private:
    using Input = Halide::GeneratorInput<Buffer> *;
    using Output = Halide::GeneratorOutput<Buffer> *;

    Input map(const char *name, int dimensions) { return Base::template add_input<Buffer>(name, type, dimensions); }
    Input table(const char *name) { return Base::template add_input<Buffer>(name, Halide::Int(32), 1); }
    Output out(const char *name, int dimensions) { return Base::template add_output<Buffer>(name, type, dimensions); }
    Halide::GeneratorInput<int> *integer(const char *name) { return Base::template add_input<int>(name); }
    Halide::GeneratorInput<Expr> *real(const char *name) { return Base::template add_input<Expr>(name, type); }

    bool on_gpu() const { return Base::get_target().has_gpu_feature(); }

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
        } else if constexpr (pass == Pass::Scores) {
            const Expr channels = score_weight->dim(1).extent(), groups = score_weight->dim(2).extent();
            if (on_gpu()) {
                joint_scores =
                    std::make_unique<JointScores>(*hidden, *centre, repeat_last(*score_weight, channels), *score_bias,
                                                  whole_blocks(centre->dim(0).extent()), groups);
                *output = joint_scores->output;
            } else {
                scores = std::make_unique<Scores>(*hidden, *centre, *score_weight, *score_bias, channels, groups);
                *output = scores->output;
            }
        } else if constexpr (pass == Pass::Moments) {
            moments = std::make_unique<Moments>(grid, *hidden, *centre, *d_scores);
            *output = moments->output;
        } else {
            generate_adjoint();
        }
    }

    void generate_adjoint() {
        const Expr outputs = back_weight->dim(1).extent();
        if constexpr (pass == Pass::ScoresAdjoint) {
            const Expr hidden_channels = compress_back->dim(1).extent();
            hidden_adjoint = std::make_unique<HiddenAdjoint>(
                grid, *hidden, *centre, *d_scores, *d_hidden_weight, *d_hidden_offset, *d_hidden_slope,
                d_hidden_weight->dim(1).extent(), *floor, *compress_back, hidden_channels);
            image = hidden_adjoint->d_v;
        } else {
            image = stage_gradient(*d_output, outputs, grid);
        }
        if (on_gpu()) {
            gathered = std::make_unique<GatheredAdjoint>(difference, image, *back_weight, outputs, hidden.get(),
                                                         hidden_adjoint.get(), layout());
            *output = gathered->record;
            return;
        }
        adjoint = std::make_unique<DifferenceAdjoint>(difference, image, *back_weight, outputs, hidden.get(),
                                                      hidden_adjoint.get(), layout());
        *output = adjoint->output;
    }

    RecordLayout layout() const {
        const Expr taps = key_weight ? key_weight->dim(2).extent() : Expr(0);
        Expr columns = grid.channels * (taps + 1) + 1;
        if (compress) {
            columns += compress->dim(1).extent() + 1;
        }
        if (source == Key::Map) {
            return {bias->dim(0).extent(), columns, grid.tile.columns + 2 * *reach_x, grid.tile.rows + 2 * *reach_y};
        }
        return {bias->dim(0).extent(), columns, *frame_columns, *frame_rows};
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
    void fix_sizes() {
        const Expr groups = query_weight->dim(2).extent(), samples = query->dim(3).extent();
        const auto fix = [&](Output buffer, const std::vector<Expr> &extents) {
            for (size_t d = 0; d < extents.size(); d++) {
                (*buffer).dim(int(d)).set_bounds(0, extents[d].defined() ? extents[d] : (*buffer).dim(int(d)).extent());
            }
        };
        const Expr any, tiles_x = (grid.columns + grid.tile.columns - 1) / grid.tile.columns,
                        tiles_y = (grid.rows + grid.tile.rows - 1) / grid.tile.rows;
        if constexpr (pass == Pass::Difference) {
            fix(output, {grid.columns, grid.rows, grid.row_step, any, groups, samples});
        } else if constexpr (pass == Pass::Scores) {
            fix(output, {grid.columns, grid.rows, grid.row_step, any, samples});
        } else if constexpr (!is_adjoint) {
            fix(output, {any, any, groups, tiles_x, tiles_y, grid.row_step, samples});
        } else {
            fix(output, {any, groups, tiles_x, tiles_y, grid.row_step, samples});
        }
    }

    Grid grid;
    Difference difference;
    Func image;  // v, or its gradient
    std::unique_ptr<Hidden> hidden;
    std::unique_ptr<Statistics> statistics;
    std::unique_ptr<Scores> scores;  // or, on a GPU,
    std::unique_ptr<JointScores> joint_scores;
    std::unique_ptr<Moments> moments;
    std::unique_ptr<HiddenAdjoint> hidden_adjoint;
    std::unique_ptr<DifferenceAdjoint> adjoint;  // or, on a GPU,
    std::unique_ptr<GatheredAdjoint> gathered;

    Input key = nullptr, key_centre = nullptr, key_weight = nullptr, tap_columns = nullptr, tap_rows = nullptr,
          coarse = nullptr, columns = nullptr, rows = nullptr, column_fraction = nullptr, row_fraction = nullptr,
          query = nullptr, query_centre = nullptr, query_weight = nullptr, bias = nullptr, compress = nullptr,
          compress_bias = nullptr, centre = nullptr, score_weight = nullptr, score_bias = nullptr, d_scores = nullptr,
          d_hidden_weight = nullptr, d_hidden_offset = nullptr, d_hidden_slope = nullptr, compress_back = nullptr,
          d_output = nullptr, back_weight = nullptr;
    Halide::GeneratorInput<int> *phase_rows = nullptr, *row_step = nullptr, *reach_x = nullptr, *reach_y = nullptr,
                                *frame_columns = nullptr, *frame_rows = nullptr;
    Halide::GeneratorInput<Expr> *side = nullptr, *floor = nullptr;
    Output output = nullptr;
};

using difference = PcdcGenerator<Pass::Difference, Key::Map>;
using difference_adjoint = PcdcGenerator<Pass::DifferenceAdjoint, Key::Map>;
using statistics = PcdcGenerator<Pass::Statistics, Key::Map>;
using scores = PcdcGenerator<Pass::Scores, Key::Map>;
using moments = PcdcGenerator<Pass::Moments, Key::Map>;
using scores_adjoint = PcdcGenerator<Pass::ScoresAdjoint, Key::Map>;
using upsampled_statistics = PcdcGenerator<Pass::Statistics, Key::Upsampled>;
using upsampled_scores = PcdcGenerator<Pass::Scores, Key::Upsampled>;
using upsampled_moments = PcdcGenerator<Pass::Moments, Key::Upsampled>;
using upsampled_scores_adjoint = PcdcGenerator<Pass::ScoresAdjoint, Key::Upsampled>;

}  // namespace
}  // namespace upwell::pcdc

HALIDE_REGISTER_GENERATOR(upwell::pcdc::difference, pcdc)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::difference_adjoint, pcdc_adjoint)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::statistics, pcdc_statistics)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::scores, pcdc_scores)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::moments, pcdc_moments)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::scores_adjoint, pcdc_scores_adjoint)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_statistics, pcdc_upsampled_statistics)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_scores, pcdc_upsampled_scores)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_moments, pcdc_upsampled_moments)
HALIDE_REGISTER_GENERATOR(upwell::pcdc::upsampled_scores_adjoint, pcdc_upsampled_scores_adjoint)
