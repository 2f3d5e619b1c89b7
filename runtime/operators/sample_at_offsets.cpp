#include "operators/sample_at_offsets.h"

#include "operator_call.h"
#include "views.h"

namespace upwell {
namespace {

using Options = SampleAtOffsetsOptions;

// Of an axis: the cell of each pixel, then its part of the place among the offsets of a plane. Those of a pixel lie
// beside each other in high-res offsets; in low-res ones a sub-pixel has a map of its own.
std::vector<int> pixels(int64_t cells, int64_t scale, int64_t of_cell, int64_t of_sub_pixel) {
    std::vector<int> table;
    for (int64_t p = 0; p < cells * scale; p++) {
        table.push_back(static_cast<int>(p / scale));
    }
    for (int64_t p = 0; p < cells * scale; p++) {
        table.push_back(static_cast<int>(p / scale * of_cell + p % scale * of_sub_pixel));
    }
    return table;
}

// N,C,h,w as N,G,C/G,h*w.
Tensor cells_of_groups(const Tensor &map, const Options &o) {
    const std::vector<int64_t> &s = map.sizes;
    return reshaped(map, {s[0], o.groups, s[1] / o.groups, s[2] * s[3]});
}

// N,C,H,W as N,G,C/G,H,W.
Tensor pixels_of_groups(const Tensor &map, const Options &o) {
    return split(map, 1, o.groups);
}

// What all kernels take besides their maps; value: a tensor of its size.
std::vector<NamedArgument> reads(Host &host, const Options &o, const Tensor &value, const Tensor &offsets) {
    const int64_t N = value.sizes[0], h = value.sizes[2], w = value.sizes[3], s = o.scale;
    const std::vector<int> columns = o.high_res ? pixels(w, s, s, 1) : pixels(w, s, 1, h * w),
                           rows = o.high_res ? pixels(h, s, s * s * w, s * w) : pixels(h, s, w, s * h * w);
    return {{"offsets", reshaped(offsets, {N, 2, o.groups, s * s * h * w})},
            {"columns", host.table(columns, {2, w * s})},
            {"rows", host.table(rows, {2, h * s})},
            {"width", w},
            {"height", h}};
}

}  // namespace

void sample_at_offsets(const Options &options, const Tensor &value, const Tensor &offsets, const Tensor &output,
                       const Queue *queue) {
    Host host(value.dtype, queue);
    host.run("sample_at_offsets",
             joined(reads(host, options, value, offsets),
                    {{"value", cells_of_groups(value, options)}, {"output", pixels_of_groups(output, options)}}));
}

void sample_at_offsets_backward(const Options &options, const Tensor &d_output, const Tensor &value,
                                const Tensor &offsets, const Tensor &d_value, const Tensor &d_offsets,
                                const Queue *queue) {
    Host host(value.dtype, queue);
    const std::vector<NamedArgument> arguments = reads(host, options, value, offsets);
    const Tensor d_pixels = pixels_of_groups(d_output, options);
    host.run("sample_at_offsets_d_value",
             joined(arguments, {{"d_output", d_pixels}, {"d_value", cells_of_groups(d_value, options)}}));

    const int64_t N = value.sizes[0], h = value.sizes[2], w = value.sizes[3], s = options.scale, G = options.groups;
    const Tensor in_pixels = options.high_res ? d_offsets : host.scratch({N, 2 * G, s * h, s * w});
    host.run("sample_at_offsets_d_offsets", joined(arguments, {{"d_output", d_pixels},
                                                               {"value", cells_of_groups(value, options)},
                                                               {"d_offsets", split(in_pixels, 1, 2)}}));
    if (!options.high_res) {  // sub-rows a and sub-columns b get maps of their own
        host.contract({reshaped(d_offsets, {N * 2 * G, s, s, h, w}), "mabyx"},
                      {reshaped(in_pixels, {N * 2 * G, h, s, w, s}), "myaxb"});
    }
}

std::vector<Signature> describe_sample_at_offsets() {
    static const auto options_of = [](const OperatorCall &c) {
        return Options{c.integer("scale"), c.integer("groups"), c.flag("high_res")};
    };
    Signature op{
        .name = "sample_at_offsets",
        .doc =
            "Samples of a map at learned offsets (DySample, arXiv 2308.15085): pixel p reads value at p div scale + "
            "offset, "
            "clamped to the map, bilinearly; each group of channels has offsets of its own, in cells, along x, then y. "
            "Their channels are (axis, group, sub-row, sub-column); high_res: (axis, group), with the output's pixels.",
        .inputs = {tensor("value", "N,C,h,w"),
                   wide_tensor("offsets", "N,2*groups*max(scale*scale*(1-high_res),1),h*max(scale*high_res,1),"
                                          "w*max(scale*high_res,1)")},
        .options = {integer("scale"), integer("groups", 1, INT_MAX, 1), flag("high_res", false)},
        .outputs = {{"output", "N,C,h*scale,w*scale"}},
        .run =
            [](Host &, const OperatorCall &c) {
                sample_at_offsets(options_of(c), c.tensor("value"), c.tensor("offsets"), c.tensor("output"), c.queue);
            },
        .conditions = {{"C%groups == 0", "groups", "should divide the {C} channels of value but is {groups}"}},
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature backward = add_backward(op, {"value", "offsets"}, [](Host &, const OperatorCall &c) {
        sample_at_offsets_backward(options_of(c), c.tensor("d_output"), c.tensor("value"), c.tensor("offsets"),
                                   c.tensor("d_value"), c.tensor("d_offsets"), c.queue);
    });
    return {op, backward};
}

}  // namespace upwell
