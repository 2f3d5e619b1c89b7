// The guided filter of ReSFU and its adjoint, per channel, with the input interpolated bilinearly to the guide's
// samples. The arguments in order, Halide's dimensions innermost first; a plane is a channel of an image, P = N D of
// them; Ws x Hs samples are taken at every scale-th pixel:
//     guide                (W, H, P)
//     input                (w, h, P)
//     d_output             (W, H, P)  guided_filter_adjoint only
//     key_columns          (Ws) int32    the column of the input at or before a sample, 0 .. w - 1, never decreasing
//     key_column_fraction  (Ws)          of the way to the next, which is repeated where there is none
//     key_rows             (Hs) int32    the same along y
//     key_row_fraction     (Hs)
//     columns              (W) int32     the column of samples at or before a pixel, 0 .. Ws - 1
//     column_fraction      (W)
//     rows                 (H) int32
//     row_fraction         (H)
//     radius               int32         of the boxes in samples, 0 or more
//     scale                int32         1 or more; (Ws - 1) scale < W and (Hs - 1) scale < H
//     eps                  of the type of the maps, as is every fraction
//     -> output (W, H, P); guided_filter_adjoint: d_guide (W, H, P), d_input (w, h, P)
#include "guided_filter.h"
#include "Halide.h"
#include "algebra/dimensions.h"
#include "estimates.h"

namespace {

using namespace upwell;
using Halide::Expr, Halide::Func, Halide::Int;

template<class Parts> class GuidedFilterGenerator : public Halide::Generator<GuidedFilterGenerator<Parts>> {
    using Base = Halide::Generator<GuidedFilterGenerator<Parts>>;
    using Buffer = Halide::Buffer<void>;
    static constexpr bool adjoint = std::is_same_v<Parts, GuidedFilterAdjoint>;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};
    Halide::GeneratorParam<std::string> estimates{"estimates", ""};  // see estimates.h
    GuidedFilterKnobs knobs;

    void configure() {
        guide = Base::template add_input<Buffer>("guide", type, 3);
        input = Base::template add_input<Buffer>("input", type, 3);
        if (adjoint) {
            d_output = Base::template add_input<Buffer>("d_output", type, 3);
        }
        for (Table *table : {&key_columns, &key_rows, &columns, &rows}) {
            table->lower = Base::template add_input<Buffer>(table->name, Int(32), 1);
            table->fraction = Base::template add_input<Buffer>(table->fraction_name, type, 1);
        }
        radius = Base::template add_input<int>("radius");
        scale = Base::template add_input<int>("scale");
        eps = Base::template add_input<Expr>("eps", type);
        output = Base::template add_output<Buffer>(adjoint ? "d_guide" : "output", type, 3);
        if (adjoint) {
            d_input = Base::template add_output<Buffer>("d_input", type, 3);
        }
    }

    void generate() {
        const GuidedFilterProblem problem = make_problem();
        if constexpr (adjoint) {
            parts = std::make_unique<Parts>(problem, planes_of(d_output));
            *output = parts->d_guide;
            *d_input = parts->d_input;
        } else {
            parts = std::make_unique<Parts>(problem);
            *output = parts->output;
        }
        fix_sizes();
    }

    void schedule() {
        set_estimates(*this, estimates);
        if (Base::using_autoscheduler()) {
            return;
        }
        if (default_schedule) {
            upwell::schedule_plainly(*parts);
        } else {
            upwell::schedule(*parts, knobs, Base::get_target());
        }
    }

private:
    using Input = Halide::GeneratorInput<Buffer> *;
    using Output = Halide::GeneratorOutput<Buffer> *;

    struct Table {
        std::string name, fraction_name;
        Input lower = nullptr, fraction = nullptr;

        LinearAxis axis(Expr low, Form form) const { return {*lower, *fraction, low, lower->dim(0).extent(), form}; }
    };

    GuidedFilterProblem make_problem() {
        // A GPU has a thread for every place of every plane. Autoschedulers know sums better than scans.
        const bool gather = Base::using_autoscheduler() || (Base::get_target().has_gpu_feature() && !default_schedule);
        const Form form = gather ? Form::Gather : Form::Scan;
        const Expr sample_columns = key_columns.lower->dim(0).extent(), sample_rows = key_rows.lower->dim(0).extent();
        return {planes_of(guide),
                planes_of(input),
                key_columns.axis(input->dim(0).extent(), form),
                key_rows.axis(input->dim(1).extent(), form),
                columns.axis(sample_columns, form),
                rows.axis(sample_rows, form),
                BoxAxis("box_columns", *radius, sample_columns, type, form),
                BoxAxis("box_rows", *radius, sample_rows, type, form),
                *scale,
                *eps,
                type};
    }

    // The last plane stands for those that a rounded-up block asks for.
    Func planes_of(Input map) {
        Func planes("planes");
        planes(x, y, c) = (*map)(x, y, clamp(c, 0, map->dim(2).extent() - 1));
        return planes;
    }

    // Every extent follows from the tables, the input and the guide, so that bounds are exact.
    void fix_sizes() {
        for (const Table *table : {&key_columns, &key_rows, &columns, &rows}) {
            table->lower->dim(0).set_min(0);
            table->fraction->dim(0).set_bounds(0, table->lower->dim(0).extent());
        }
        const Expr planes = guide->dim(2).extent();
        const auto fix = [&](auto *map, Expr width, Expr height) {
            map->dim(0).set_bounds(0, width).dim(1).set_bounds(0, height).dim(2).set_bounds(0, planes);
        };
        const Expr width = columns.lower->dim(0).extent(), height = rows.lower->dim(0).extent();
        fix(guide, width, height);
        fix(input, input->dim(0).extent(), input->dim(1).extent());
        fix(output, width, height);
        if (adjoint) {
            fix(d_output, width, height);
            fix(d_input, input->dim(0).extent(), input->dim(1).extent());
        }
    }

    Input guide = nullptr, input = nullptr, d_output = nullptr;
    Table key_columns{"key_columns", "key_column_fraction"}, key_rows{"key_rows", "key_row_fraction"},
        columns{"columns", "column_fraction"}, rows{"rows", "row_fraction"};
    Halide::GeneratorInput<int> *radius = nullptr, *scale = nullptr;
    Halide::GeneratorInput<Expr> *eps = nullptr;
    Output output = nullptr, d_input = nullptr;
    std::unique_ptr<Parts> parts;
};

using Forward = GuidedFilterGenerator<GuidedFilter>;
using Adjoint = GuidedFilterGenerator<GuidedFilterAdjoint>;

}  // namespace

HALIDE_REGISTER_GENERATOR(Forward, guided_filter)
HALIDE_REGISTER_GENERATOR(Adjoint, guided_filter_adjoint)
