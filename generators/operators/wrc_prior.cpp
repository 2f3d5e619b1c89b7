// The prior of weighted reverse convolution and its adjoint. The arguments in order, Halide's dimensions innermost
// first; a plane is a channel of an image, P = N C of them; n reads: the most pixels that read one cell of an axis.
//     value            (w, h, P)
//     mixed            (w, h, 9, P)  the taps row-major
//     lam              (P)
//     d_precision      (W, H, P)     wrc_prior_backward only, as is d_weighted
//     d_weighted       (W, H, P)
//     columns          (W) int32     the column of cells at or before a pixel, 0 .. w - 1, never decreasing
//     column_fraction  (W)           of the way to the next
//     rows             (H) int32     the same along y
//     row_fraction     (H)
//     column_first     (w) int32     the first pixel that reads a cell; wrc_prior_backward only, as is all that follows
//     column_weight    (n, w)        of the cell in the i-th pixel that reads it, 0 beyond the last
//     row_first        (h) int32
//     row_weight       (n, h)
//     -> precision, weighted (W, H, P); wrc_prior_backward: d_value (w, h, P), d_mixed (w, h, 9, P), d_lam (P)
#include "algebra/wrc_prior.h"

#include "algebra/dimensions.h"
#include "kernel.h"
#include "schedules/form.h"
#include "schedules/wrc_prior.h"

namespace upwell {
namespace {

using Halide::Expr, Halide::Func;

template<class Parts> class WrcPriorKernel : public Kernel<WrcPriorKernel<Parts>> {
    using Base = Kernel<WrcPriorKernel<Parts>>;
    using typename Base::Input, typename Base::Output;
    static constexpr bool adjoint = std::is_same_v<Parts, WrcPriorBackward>;

public:
    void configure() {
        value = this->map("value", "w,h,P");
        mixed = this->map("mixed", "w,h,taps,P");
        lam = this->map("lam", "P");
        if (adjoint) {
            d_precision = this->map("d_precision", "W,H,P");
            d_weighted = this->map("d_weighted", "W,H,P");
        }
        for (Table *table : {&columns, &rows}) {
            table->lower = this->table(table->name + "s", table->high);
            table->fraction = this->map(table->name + "_fraction", table->high);
        }
        if (!adjoint) {
            outputs = {this->out("prior", "W,H,P", 2)};
            return;
        }
        for (Table *table : {&columns, &rows}) {
            table->first = this->table(table->name + "_first", table->low);
            table->weight = this->map(table->name + "_weight", table->name + " reads," + table->low);
        }
        outputs = {this->out("d_value", "w,h,P"), this->out("d_mixed", "w,h,taps,P"), this->out("d_lam", "P")};
    }

    void generate() {
        this->set_size("W", columns.lower->dim(0).extent());
        this->set_size("H", rows.lower->dim(0).extent());
        this->set_size("taps", wrc_taps);
        const WrcPriorProblem problem{low_planes(value, {x, y, c}), low_planes(mixed, {x, y, tap, c}),
                                      planes_of(lam, {c}),          columns.axis(this->size("w")),
                                      rows.axis(this->size("h")),   this->type,
                                      form_of_sums(this->where())};
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
        this->fix_sizes();
    }

    void place() {
        if (this->default_schedule) {
            schedule_plainly(*parts);
        } else {
            upwell::place(this->where(), *parts);
        }
    }

private:
    struct Table {
        std::string name, high, low;
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
        place.back() = clamp(c, 0, this->size("P") - 1);
        planes(dimensions) = (*map)(place);
        return planes;
    }

    // As does the last row.
    Func low_planes(Input map, std::vector<Halide::Var> dimensions) {
        Func rows("low_planes");
        std::vector<Expr> place(dimensions.begin(), dimensions.end());
        place[1] = clamp(y, 0, this->size("h") - 1);
        rows(dimensions) = planes_of(map, dimensions)(place);
        return rows;
    }

    Input value = nullptr, mixed = nullptr, lam = nullptr, d_precision = nullptr, d_weighted = nullptr;
    Table columns{"column", "W", "w"}, rows{"row", "H", "h"};
    std::vector<Output> outputs;
    std::unique_ptr<Parts> parts;
};

using WrcPriorForwardGenerator = WrcPriorKernel<WrcPrior>;
using WrcPriorBackwardGenerator = WrcPriorKernel<WrcPriorBackward>;

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::WrcPriorForwardGenerator, wrc_prior)
HALIDE_REGISTER_GENERATOR(upwell::WrcPriorBackwardGenerator, wrc_prior_backward)
