// The guided filter with a guide of three channels and its two gradients, with the input interpolated bilinearly to the
// guide's samples. The arguments in order, Halide's dimensions innermost first; N images, Ws x Hs samples at every
// scale-th pixel:
//     guide                (W, H, 3, N)
//     input                (w, h, C, N)  not colour_guided_filter_d_input: width, height int32 of the input instead
//     d_output             (W, H, C, N)  of a gradient
//     key_columns, ..., eps              those of operators/guided_filter.cpp
//     -> output (W, H, C, N); colour_guided_filter_d_input: d_input (w, h, C, N); colour_guided_filter_d_guide: d_guide
//        (W, H, 3, N)
#include "algebra/colour_guided_filter.h"

#include "algebra/dimensions.h"
#include "operators/guided_filter_kernel.h"
#include "schedules/colour_guided_filter.h"

namespace upwell {
namespace {

using Halide::Expr, Halide::Func;

template<class Parts> class ColourGuidedFilterKernel : public GuidedFilterArguments<ColourGuidedFilterKernel<Parts>> {
    using Base = Kernel<ColourGuidedFilterKernel<Parts>>;
    using typename Base::Input, typename Base::Integer, typename Base::Output;
    static constexpr bool is_forward = std::is_same_v<Parts, ColourGuidedFilter>,
                          has_input = !std::is_same_v<Parts, ColourGuidedFilterInputGradient>;

public:
    ColourGuidedFilterKnobs knobs;

    void configure() {
        guide = this->map("guide", "W,H,3,N");
        if (has_input) {
            input = this->map("input", "w,h,C,N");
        } else {
            width = this->integer("width");
            height = this->integer("height");
        }
        if (!is_forward) {
            d_output = this->map("d_output", "W,H,C,N");
        }
        this->add_places_and_options();
        result = is_forward  ? this->out("output", "W,H,C,N")
                 : has_input ? this->out("d_guide", "W,H,3,N")
                             : this->out("d_input", "w,h,C,N");
    }

    void generate() {
        this->set_image_size();
        if (!has_input) {
            this->set_size("w", *width);
            this->set_size("h", *height);
        }
        const ColourGuidedFilterProblem problem = make_problem();
        if constexpr (is_forward) {
            parts = std::make_unique<Parts>(problem);
            *result = parts->output;
        } else {
            parts = std::make_unique<Parts>(problem, channels_of(d_output));
            if constexpr (has_input) {
                *result = parts->d_guide;
            } else {
                *result = parts->d_input;
            }
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
    ColourGuidedFilterProblem make_problem() {
        const GuidedFilterProblem problem = this->problem(*guide, has_input ? channels_of(input) : Func());
        const bool in_chunks = this->where().on_gpu() && !this->default_schedule;
        return {problem, this->size("C"), group_channels(in_chunks, problem, knobs)};
    }

    // The last channel stands for those that a rounded-up block asks for.
    Func channels_of(Input map) {
        Func all("channels");
        all(x, y, c, n) = (*map)(x, y, clamp(c, 0, map->dim(2).extent() - 1), n);
        return all;
    }

    Input guide = nullptr, input = nullptr, d_output = nullptr;
    Integer width = nullptr, height = nullptr;
    Output result = nullptr;
    std::unique_ptr<Parts> parts;
};

using ColourGuidedFilterGenerator = ColourGuidedFilterKernel<ColourGuidedFilter>;
using ColourGuidedFilterInputGradientGenerator = ColourGuidedFilterKernel<ColourGuidedFilterInputGradient>;
using ColourGuidedFilterGuideGradientGenerator = ColourGuidedFilterKernel<ColourGuidedFilterGuideGradient>;

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::ColourGuidedFilterGenerator, colour_guided_filter)
HALIDE_REGISTER_GENERATOR(upwell::ColourGuidedFilterInputGradientGenerator, colour_guided_filter_d_input)
HALIDE_REGISTER_GENERATOR(upwell::ColourGuidedFilterGuideGradientGenerator, colour_guided_filter_d_guide)
