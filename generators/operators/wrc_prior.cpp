// The prior of weighted reverse convolution and its adjoint. The arguments in order, Halide's dimensions innermost
// first; a plane is a channel of an image, P = N C of them; n reads: the most pixels that read one cell of an axis.
//     value            (w, h, P)
//     mixed            (w, h, 9, P)  the taps row-major
//     lam              (P)
//     d_precision      (W, H, P)     wrc_prior_adjoint only, as is d_weighted
//     d_weighted       (W, H, P)
//     columns          (W) int32     the column of cells at or before a pixel, 0 .. w - 1, never decreasing
//     column_fraction  (W)           of the way to the next
//     rows             (H) int32     the same along y
//     row_fraction     (H)
//     column_first     (w) int32     the first pixel that reads a cell; wrc_prior_adjoint only, as is all that follows
//     column_weight    (n, w)        of the cell in the i-th pixel that reads it, 0 beyond the last
//     row_first        (h) int32
//     row_weight       (n, h)
//     -> precision, weighted (W, H, P); wrc_prior_adjoint: d_value (w, h, P), d_mixed (w, h, 9, P), d_lam (P)
#include "wrc_prior.h"
#include "Halide.h"
#include "algebra/dimensions.h"

namespace {

using namespace upwell;
using Halide::Expr, Halide::Func, Halide::Int;

template<class Parts> class WrcPriorGenerator : public Halide::Generator<WrcPriorGenerator<Parts>> {
    using Base = Halide::Generator<WrcPriorGenerator<Parts>>;
    using Buffer = Halide::Buffer<void>;
    static constexpr bool adjoint = std::is_same_v<Parts, WrcPriorAdjoint>;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};

    void configure() {
        value = Base::template add_input<Buffer>("value", type, 3);
        mixed = Base::template add_input<Buffer>("mixed", type, 4);
        lam = Base::template add_input<Buffer>("lam", type, 1);
        if (adjoint) {
            d_precision = Base::template add_input<Buffer>("d_precision", type, 3);
            d_weighted = Base::template add_input<Buffer>("d_weighted", type, 3);
        }
        for (Table *table : {&columns, &rows}) {
            table->lower = Base::template add_input<Buffer>(table->name + "s", Int(32), 1);
            table->fraction = Base::template add_input<Buffer>(table->name + "_fraction", type, 1);
        }
        if (!adjoint) {
            outputs = {Base::template add_output<Buffer>("prior", std::vector<Halide::Type>{type, type}, 3)};
            return;
        }
        for (Table *table : {&columns, &rows}) {
            table->first = Base::template add_input<Buffer>(table->name + "_first", Int(32), 1);
            table->weight = Base::template add_input<Buffer>(table->name + "_weight", type, 2);
        }
        outputs = {Base::template add_output<Buffer>("d_value", type, 3),
                   Base::template add_output<Buffer>("d_mixed", type, 4),
                   Base::template add_output<Buffer>("d_lam", type, 1)};
    }

    void generate() {
        // A GPU has a thread for every place of every plane.
        const Form form = Base::get_target().has_gpu_feature() && !default_schedule ? Form::Gather : Form::Scan;
        const Expr width = value->dim(0).extent(), height = value->dim(1).extent();
        const WrcPriorProblem problem{low_planes(value, {x, y, c}),
                                      low_planes(mixed, {x, y, tap, c}),
                                      planes_of(lam, {c}),
                                      columns.axis(width),
                                      rows.axis(height),
                                      type,
                                      form};
        if constexpr (adjoint) {
            parts =
                std::make_unique<Parts>(problem, planes_of(d_precision, {x, y, c}), planes_of(d_weighted, {x, y, c}));
            *outputs[0] = parts->d_value;
            *outputs[1] = parts->d_mixed;
            *outputs[2] = parts->d_lam;
        } else {
            parts = std::make_unique<Parts>(problem);
            *outputs[0] = parts->output;
        }
        fix_sizes();
    }

    void schedule() {
        if (default_schedule) {
            upwell::schedule_plainly(*parts);
        } else {
            upwell::schedule(*parts, Base::get_target());
        }
    }

private:
    using Input = Halide::GeneratorInput<Buffer> *;
    using Output = Halide::GeneratorOutput<Buffer> *;

    struct Table {
        std::string name;
        Input lower = nullptr, fraction = nullptr, first = nullptr, weight = nullptr;

        WrcAxis axis(Expr cells) const {
            WrcAxis axis{{*lower, *fraction, cells, lower->dim(0).extent()}, Func(), Func(), Expr()};
            if (adjoint) {
                const Expr cell = clamp(x, 0, cells - 1);
                Func first_pixel("first_pixel"), weights("weights");
                first_pixel(x) = (*first)(cell);
                weights(y, x) = (*weight)(y, cell);
                axis.first = first_pixel, axis.weight = weights, axis.count = weight->dim(0).extent();
            }
            return axis;
        }
    };

    // The last plane stands for those that a rounded-up block asks for.
    Func planes_of(Input map, std::vector<Halide::Var> dimensions) {
        Func planes("planes");
        std::vector<Expr> place(dimensions.begin(), dimensions.end());
        place.back() = clamp(c, 0, value->dim(2).extent() - 1);
        planes(dimensions) = (*map)(place);
        return planes;
    }

    // As does the last row.
    Func low_planes(Input map, std::vector<Halide::Var> dimensions) {
        Func rows("low_planes");
        std::vector<Expr> place(dimensions.begin(), dimensions.end());
        place[1] = clamp(y, 0, value->dim(1).extent() - 1);
        rows(dimensions) = planes_of(map, dimensions)(place);
        return rows;
    }

    // Every extent follows from the tables and the value, so that bounds are exact.
    void fix_sizes() {
        const auto fix = [](auto dimensioned, const std::vector<Expr> &sizes) {
            for (int i = 0; i < static_cast<int>(sizes.size()); i++) {
                dimensioned.dim(i).set_bounds(0, sizes[i]);
            }
        };
        const Expr w = value->dim(0).extent(), h = value->dim(1).extent(), planes = value->dim(2).extent();
        const Expr W = columns.lower->dim(0).extent(), H = rows.lower->dim(0).extent();
        fix(buffer(value), {w, h, planes});
        fix(buffer(mixed), {w, h, wrc_taps, planes});
        fix(buffer(lam), {planes});
        for (const auto &[table, high, low] : {std::tuple(&columns, W, w), std::tuple(&rows, H, h)}) {
            fix(buffer(table->lower), {high});
            fix(buffer(table->fraction), {high});
            if (adjoint) {
                fix(buffer(table->first), {low});
                fix(buffer(table->weight), {table->weight->dim(0).extent(), low});
            }
        }
        if constexpr (adjoint) {
            fix(buffer(d_precision), {W, H, planes});
            fix(buffer(d_weighted), {W, H, planes});
            fix(parts->d_value.output_buffer(), {w, h, planes});
            fix(parts->d_mixed.output_buffer(), {w, h, wrc_taps, planes});
            fix(parts->d_lam.output_buffer(), {planes});
        } else {
            fix(parts->output.output_buffers()[0], {W, H, planes});
        }
    }

    static Halide::ImageParam buffer(Input input) { return *input; }

    Input value = nullptr, mixed = nullptr, lam = nullptr, d_precision = nullptr, d_weighted = nullptr;
    Table columns{"column"}, rows{"row"};
    std::vector<Output> outputs;
    std::unique_ptr<Parts> parts;
};

using Forward = WrcPriorGenerator<WrcPrior>;
using Adjoint = WrcPriorGenerator<WrcPriorAdjoint>;

}  // namespace

HALIDE_REGISTER_GENERATOR(Forward, wrc_prior)
HALIDE_REGISTER_GENERATOR(Adjoint, wrc_prior_adjoint)
