// The guided filter of ReSFU and its adjoint, per channel, with the input interpolated bilinearly to the guide's
// samples. The arguments in order, Halide's dimensions innermost first; a plane is a channel of an image, P = N D of
// them; Ws x Hs samples are taken at every scale-th pixel:
//     guide                (W, H, P)
//     input                (w, h, P)
//     d_output             (W, H, P)  guided_filter_backward only
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
//     -> output (W, H, P); guided_filter_backward: d_guide (W, H, P), d_input (w, h, P)
#include "algebra/guided_filter.h"

#include "algebra/dimensions.h"
#include "operators/guided_filter_kernel.h"
#include "schedules/guided_filter.h"

namespace upwell {
namespace {

using Halide::Expr, Halide::Func;

template<class Parts> class GuidedFilterKernel : public GuidedFilterArguments<GuidedFilterKernel<Parts>> {
    using Base = Kernel<GuidedFilterKernel<Parts>>;
    using typename Base::Input, typename Base::Output;
    static constexpr bool adjoint = std::is_same_v<Parts, GuidedFilterBackward>;

public:
    GuidedFilterKnobs knobs;

    void configure() {
        guide = this->map("guide", "W,H,P");
        input = this->map("input", "w,h,P");
        if (adjoint) {
            d_output = this->map("d_output", "W,H,P");
        }
        this->add_places_and_options();
        output = this->out(adjoint ? "d_guide" : "output", "W,H,P");
        if (adjoint) {
            d_input = this->out("d_input", "w,h,P");
        }
    }

    void generate() {
        this->set_image_size();
        const GuidedFilterProblem problem = this->problem(planes_of(guide), planes_of(input));
        if constexpr (adjoint) {
            parts = std::make_unique<Parts>(problem, planes_of(d_output));
            *output = parts->d_guide;
            *d_input = parts->d_input;
        } else {
            parts = std::make_unique<Parts>(problem);
            *output = parts->output;
        }
        this->fix_sizes();
    }

    void place() {
        if (this->default_schedule) {
            schedule_plainly(*parts);
        } else {
            upwell::place(this->where(), *parts, knobs);
        }
    }

private:
    // The last plane stands for those that a rounded-up block asks for.
    Func planes_of(Input map) {
        Func planes("planes");
        planes(x, y, c) = (*map)(x, y, clamp(c, 0, map->dim(2).extent() - 1));
        return planes;
    }

    Input guide = nullptr, input = nullptr, d_output = nullptr;
    Output output = nullptr, d_input = nullptr;
    std::unique_ptr<Parts> parts;
};

using GuidedFilterForwardGenerator = GuidedFilterKernel<GuidedFilter>;
using GuidedFilterBackwardGenerator = GuidedFilterKernel<GuidedFilterBackward>;

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::GuidedFilterForwardGenerator, guided_filter)
HALIDE_REGISTER_GENERATOR(upwell::GuidedFilterBackwardGenerator, guided_filter_backward)
