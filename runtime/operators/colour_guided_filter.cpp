#include "operators/colour_guided_filter.h"

#include "operator_call.h"
#include "operators/guided_filter_call.h"

namespace upwell {
namespace {

using Options = GuidedFilterOptions;

// Without it the fit to a window of few colours has no solution.
void check_eps(const std::string &op, const Options &options) {
    if (options.eps <= 0) {
        throw Error(op, "eps", "should be positive but is " + std::to_string(options.eps));
    }
}

}  // namespace

void colour_guided_filter(const Options &options, const Tensor &guide, const Tensor &input, const Tensor &output,
                          const Queue *queue) {
    const std::string op = "colour_guided_filter";
    check_eps(op, options);
    Host host(guide.dtype, queue);
    GuidedFilterCall call(op, options, guide, {input.sizes[2], input.sizes[3]}, host, queue);
    const Tensor filtered = call.room_for("output", output);
    call.run({{"guide", call.extended(guide)}, {"input", call.extended(input)}, {"output", filtered}});
    call.crop(filtered, output);
}

void colour_guided_filter_d_input(const Options &options, const Tensor &d_output, const Tensor &guide,
                                  const Tensor &d_input, const Queue *queue) {
    const std::string op = "colour_guided_filter_d_input";
    check_eps(op, options);
    Host host(guide.dtype, queue);
    GuidedFilterCall call(op, options, guide, {d_input.sizes[2], d_input.sizes[3]}, host, queue);
    const Tensor of_input = call.room_for("d_input", d_input);
    const auto [height, width] = call.input_size();
    call.run({{"guide", call.extended(guide)},
              {"d_output", call.embedded(d_output)},
              {"width", width},
              {"height", height},
              {"d_input", of_input}});
    call.fold(of_input, d_input);
}

void colour_guided_filter_d_guide(const Options &options, const Tensor &d_output, const Tensor &guide,
                                  const Tensor &input, const Tensor &d_guide, const Queue *queue) {
    const std::string op = "colour_guided_filter_d_guide";
    check_eps(op, options);
    Host host(guide.dtype, queue);
    GuidedFilterCall call(op, options, guide, {input.sizes[2], input.sizes[3]}, host, queue);
    const Tensor of_guide = call.room_for("d_guide", d_guide);
    call.run({{"guide", call.extended(guide)},
              {"input", call.extended(input)},
              {"d_output", call.embedded(d_output)},
              {"d_guide", of_guide}});
    call.fold(of_guide, d_guide);
}

std::vector<Signature> describe_colour_guided_filter() {
    static const auto options_of = [](const OperatorCall &c) {
        return Options{c.integer("radius"), c.real("eps"), c.integer("scale"), c.flag("centred"), c.text("border")};
    };
    const std::vector<OptionArgument> options = guided_filter_options();
    std::vector<OptionArgument> options_of_d_input{size("h"), size("w")};
    options_of_d_input.insert(options_of_d_input.end(), options.begin(), options.end());
    return {
        {
            .name = "colour_guided_filter",
            .doc = "The guided filter (He et al., Guided Image Filtering, TPAMI 2013) with a guide of three channels: "
                   "each channel of input is fitted to all of them. Options as those of guided_filter, eps positive.",
            .inputs = {tensor("guide", "N,3,H,W"), tensor("input", "N,C,h,w")},
            .options = options,
            .outputs = {{"output", "N,C,H,W"}},
            .run =
                [](Host &, const OperatorCall &c) {
                    colour_guided_filter(options_of(c), c.tensor("guide"), c.tensor("input"), c.tensor("output"),
                                         c.queue);
                },
            .gradients = {{Gradient::Rule::Call, {"guide"}, "colour_guided_filter_d_guide"},
                          {Gradient::Rule::Call, {"input"}, "colour_guided_filter_d_input"}},
            .autocast = Signature::Autocast::ToFloat,
        },
        // <d_input(d_output), input> = <d_output, output>: linear in d_output, with the same gradient of the guide.
        {
            .name = "colour_guided_filter_d_input",
            .doc = "The gradient of colour_guided_filter by its input, of h x w.",
            .inputs = {tensor("d_output", "N,C,H,W"), tensor("guide", "N,3,H,W")},
            .options = options_of_d_input,
            .outputs = {{"d_input", "N,C,h,w"}},
            .run =
                [](Host &, const OperatorCall &c) {
                    colour_guided_filter_d_input(options_of(c), c.tensor("d_output"), c.tensor("guide"),
                                                 c.tensor("d_input"), c.queue);
                },
            .gradients = {{Gradient::Rule::Call, {"d_output"}, "colour_guided_filter", {{"input", "d_d_input"}}},
                          {Gradient::Rule::Call, {"guide"}, "colour_guided_filter_d_guide", {{"input", "d_d_input"}}}},
        },
        {
            .name = "colour_guided_filter_d_guide",
            .doc = "The gradient of colour_guided_filter by its guide.",
            .inputs = {tensor("d_output", "N,C,H,W"), tensor("guide", "N,3,H,W"), tensor("input", "N,C,h,w")},
            .options = options,
            .outputs = {{"d_guide", "N,3,H,W"}},
            .run =
                [](Host &, const OperatorCall &c) {
                    colour_guided_filter_d_guide(options_of(c), c.tensor("d_output"), c.tensor("guide"),
                                                 c.tensor("input"), c.tensor("d_guide"), c.queue);
                },
        },
    };
}

}  // namespace upwell
