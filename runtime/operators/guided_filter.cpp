#include "operators/guided_filter.h"

#include "operator_call.h"
#include "operators/guided_filter_call.h"

namespace upwell {
namespace {

using Options = GuidedFilterOptions;

// Channel by channel.
void run_by_planes(GuidedFilterCall &call, const std::string &op, std::vector<NamedArgument> maps) {
    for (auto &[name, map] : maps) {
        map = planes(op, name, std::get<Tensor>(map));
    }
    call.run(maps);
}

}  // namespace

void guided_filter(const Options &options, const Tensor &guide, const Tensor &input, const Tensor &output,
                   const Queue *queue) {
    const std::string op = "guided_filter";
    Host host(guide.dtype, queue);
    GuidedFilterCall call(op, options, guide, {input.sizes[2], input.sizes[3]}, host, queue);
    const Tensor filtered = call.room_for("output", output);
    run_by_planes(call, op, {{"guide", call.extended(guide)}, {"input", call.extended(input)}, {"output", filtered}});
    call.crop(filtered, output);
}

void guided_filter_backward(const Options &options, const Tensor &guide, const Tensor &input, const Tensor &d_output,
                            const Tensor &d_guide, const Tensor &d_input, const Queue *queue) {
    const std::string op = "guided_filter_backward";
    Host host(guide.dtype, queue);
    GuidedFilterCall call(op, options, guide, {input.sizes[2], input.sizes[3]}, host, queue);
    const Tensor of_guide = call.room_for("d_guide", d_guide), of_input = call.room_for("d_input", d_input);
    run_by_planes(call, op,
                  {{"guide", call.extended(guide)},
                   {"input", call.extended(input)},
                   {"d_output", call.embedded(d_output)},
                   {"d_guide", of_guide},
                   {"d_input", of_input}});
    call.fold(of_guide, d_guide);
    call.fold(of_input, d_input);
}

std::vector<OptionArgument> guided_filter_options() {
    return {integer("radius", 0, INT_MAX / 4 - 1), real("eps", 1e-3), integer("scale", 1, INT_MAX - 1, 1),
            flag("centred", false), text("border", {"inside", "reflect", "symmetric"})};
}

std::vector<Signature> describe_guided_filter() {
    static const auto options_of = [](const OperatorCall &c) {
        return Options{c.integer("radius"), c.real("eps"), c.integer("scale"), c.flag("centred"), c.text("border")};
    };
    Signature op{
        .name = "guided_filter",
        .doc = "The guided filter (He et al., arXiv 1505.00996) per channel. radius: of the box, in pixels of the "
               "guide. scale: "
               "fitted on every scale-th pixel. centred: the fit put back where those pixels are; published (False): "
               "as if "
               "they were the centres of scale x scale blocks. border: means are over the samples of a box inside the "
               "map, "
               "or samples go on beyond it in mirrors, reflect (c b | a b c) or symmetric (b a | a b c).",
        .inputs = {tensor("guide", "N,D,H,W"), tensor("input", "N,D,h,w")},
        .options = guided_filter_options(),
        .outputs = {{"output", "N,D,H,W"}},
        .run =
            [](Host &, const OperatorCall &c) {
                guided_filter(options_of(c), c.tensor("guide"), c.tensor("input"), c.tensor("output"), c.queue);
            },
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature backward = add_backward(op, {"guide", "input"}, [](Host &, const OperatorCall &c) {
        guided_filter_backward(options_of(c), c.tensor("guide"), c.tensor("input"), c.tensor("d_output"),
                               c.tensor("d_guide"), c.tensor("d_input"), c.queue);
    });
    return {op, backward};
}

}  // namespace upwell
