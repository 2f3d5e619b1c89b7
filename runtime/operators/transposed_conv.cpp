#include "operators/transposed_conv.h"

#include <algorithm>

#include "grid/position.h"
#include "operator_call.h"
#include "pixel_sums.h"
#include "tensor.h"
#include "views.h"

namespace upwell {
namespace {

using Options = TransposedConvOptions;

constexpr int64_t most_samples = 65535;  // of a launch on a GPU

// What kernels read about an axis (generators/operators/transposed_conv.cpp).
struct AxisTables {
    std::vector<int> element, place;
    int64_t first, taps, stride, kernel;

    AxisTables(const Options &o, int axis, const Tensor &weight)
        : stride(o.stride[axis]), kernel(weight.sizes[2 + axis]) {
        const int64_t padding = o.padding[axis];
        first = -floor_divide(kernel - 1 - padding, stride);
        taps = floor_divide(stride - 1 + padding, stride) - first + 1;
        element.assign(stride * taps, -1);
        place.resize(2 * kernel);
        for (int64_t phase = 0; phase < stride; phase++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                const int64_t k = phase + padding - stride * (tap + first);
                if (k >= 0 && k < kernel) {
                    element[phase * taps + tap] = static_cast<int>(k);
                    place[k] = static_cast<int>(tap);
                    place[kernel + k] = static_cast<int>(phase);
                }
            }
        }
    }
};

// N,G*A,h,w as N,G,A,h,w.
Tensor grouped(const Tensor &map, const Options &o) {
    return split(map, 1, o.groups);
}

// C,B,KH,KW as G,A,B,KH,KW.
Tensor grouped_weight(const Tensor &weight, const Options &o) {
    return split(weight, 0, o.groups);
}

// Whole blocks N,G*B,H,W as N,G,B,H/stride,stride,W/stride,stride.
Tensor by_phases(const Tensor &map, const Options &o) {
    const std::vector<int64_t> &s = map.sizes;
    const auto &[rows, columns] = o.stride;
    return reshaped(map, {s[0], o.groups, s[1] / o.groups, s[2] / rows, rows, s[3] / columns, columns});
}

// A kernel with what it reads about the axes.
class Convolution {
public:
    // op: without what says for which stride.
    Convolution(const char *op, const Options &o, Host &host, const Tensor &weight)
        : rows(o, 0, weight), columns(o, 1, weight), host_(host),
          kernel_(std::string(op) + (o.stride == std::array<int64_t, 2>{2, 2} ? "_2" : "")) {
        for (const auto &[name, axis] : {std::pair{"column", &columns}, {"row", &rows}}) {
            tables_.push_back({std::string(name) + "s", host.table(axis->element, {axis->stride, axis->taps})});
            tables_.push_back({std::string("first_") + name, axis->first});
        }
    }

    void add_places() {
        for (const auto &[name, axis] : {std::pair{"places_x", &columns}, {"places_y", &rows}}) {
            tables_.push_back({name, host_.table(axis->place, {2, axis->kernel})});
        }
    }

    void run(std::vector<NamedArgument> maps) const {
        host_.run(kernel_, joined(std::move(maps), tables_));
    }

    const AxisTables rows, columns;

private:
    Host &host_;
    const std::string kernel_;
    std::vector<NamedArgument> tables_;
};

std::vector<int64_t> block_sizes(const Options &o, const Tensor &high) {
    const std::vector<int64_t> &s = high.sizes;
    return {s[0], s[1], o.whole(0, s[2]), o.whole(1, s[3])};
}

// A map of whole blocks; itself where it has no others.
Tensor in_blocks(Host &host, const Options &o, const Tensor &map) {
    const std::vector<int64_t> sizes = block_sizes(o, map);
    return sizes == map.sizes ? map : host.scratch(sizes);
}

Tensor padded(Host &host, const Options &o, const Tensor &map) {
    const Tensor blocks = in_blocks(host, o, map);
    if (blocks.data != map.data) {
        resize(host, map, blocks);
    }
    return blocks;
}

// Calls run(first, count) for all samples, at most so many at a time.
template<class Run> void for_samples(const Tensor &map, int64_t most, Run run) {
    const int64_t samples = map.sizes[0];
    for (int64_t first = 0; first < samples; first += most) {
        run(first, std::min(most, samples - first));
    }
}

constexpr int64_t most_pixels = INT32_MAX / 4 - 1;

}  // namespace

void transposed_conv(const Options &options, const Tensor &input, const Tensor &weight, const Tensor &bias,
                     const Tensor &output, const Queue *queue) {
    Host host(input.dtype, queue);
    const int64_t channels = output.sizes[1];
    const Tensor offset = bias.data ? bias : host.constant(0, {channels});
    if (element_count(input) == 0) {  // a sum of nothing
        host.contract({output, "nchw"}, {offset, "c"});
        return;
    }
    const Tensor blocks = in_blocks(host, options, output);
    const Convolution conv("transposed_conv", options, host, weight);
    for_samples(input, most_samples, [&](int64_t first, int64_t count) {
        conv.run({{"input", grouped(narrowed(input, 0, first, count), options)},
                  {"weight", grouped_weight(weight, options)},
                  {"bias", reshaped(offset, {options.groups, channels / options.groups})},
                  {"output", by_phases(narrowed(blocks, 0, first, count), options)}});
    });
    if (blocks.data != output.data) {
        resize(host, blocks, output);
    }
}

void transposed_conv_d_input(const Options &options, const Tensor &d_output, const Tensor &weight,
                             const Tensor &d_input, const Queue *queue) {
    Host host(d_output.dtype, queue);
    if (element_count(d_output) == 0) {
        host.fill(d_input, 0);
        return;
    }
    const Tensor blocks = padded(host, options, d_output);
    const Convolution conv("transposed_conv_d_input", options, host, weight);
    for_samples(d_input, most_samples, [&](int64_t first, int64_t count) {
        conv.run({{"d_output", by_phases(narrowed(blocks, 0, first, count), options)},
                  {"weight", grouped_weight(weight, options)},
                  {"d_input", grouped(narrowed(d_input, 0, first, count), options)}});
    });
}

void transposed_conv_d_weight(const Options &options, const Tensor &d_output, const Tensor &input,
                              const Tensor &d_weight, const Queue *queue) {
    Host host(d_output.dtype, queue);
    if (element_count(input) == 0) {
        host.fill(d_weight, 0);
        return;
    }
    const Tensor blocks = padded(host, options, d_output);
    Convolution conv("transposed_conv_d_weight", options, host, d_weight);
    conv.add_places();
    // A kernel holds partial sums of every sample, on a GPU for 32 columns of every strip of 32 rows of blocks.
    constexpr int64_t lanes = 32, strip_rows = 32, most_sums = 1 << 26;
    const int64_t strips = (blocks.sizes[2] / options.stride[0] + strip_rows - 1) / strip_rows;
    const int64_t elements = conv.columns.element.size() * conv.rows.element.size();
    const int64_t sums = lanes * elements * d_weight.sizes[0] * d_weight.sizes[1] * strips;
    const int64_t most = std::clamp<int64_t>(most_sums / sums, 1, std::max<int64_t>(most_samples / strips, 1));
    const Tensor part = input.sizes[0] > most ? host.scratch(d_weight.sizes) : Tensor{};
    for_samples(input, most, [&](int64_t first, int64_t count) {
        const Tensor &result = first == 0 ? d_weight : part;
        conv.run({{"input", grouped(narrowed(input, 0, first, count), options)},
                  {"d_output", by_phases(narrowed(blocks, 0, first, count), options)},
                  {"d_weight", grouped_weight(result, options)}});
        if (first > 0) {
            host.contract({d_weight, "abyx"}, {part, "abyx"}, 1, {d_weight, "abyx"});
        }
    });
}

void transposed_conv_d_bias(const Tensor &d_output, const Tensor &d_bias, const Queue *queue) {
    Host host(d_output.dtype, queue);
    if (element_count(d_output) == 0) {
        host.fill(d_bias, 0);
        return;
    }
    const Tensor columns = host.scratch({d_output.sizes[1], d_output.sizes[3]});  // lanes
    host.contract({columns, "cw"}, {d_output, "nchw"});
    host.contract({d_bias, "c"}, {columns, "cw"});
}

std::vector<Signature> describe_transposed_conv() {
    static const auto options_of = [](const OperatorCall &c) {
        const auto pair = [&](const std::string &name) {
            return std::array{c.integer(name + "_h"), c.integer(name + "_w")};
        };
        return Options{pair("stride"), pair("padding"), pair("output_padding"), c.integer("groups")};
    };
    constexpr int64_t most = INT_MAX / 4 - 1;
    const std::vector<OptionArgument> options{
        integers("stride", {"stride_h", "stride_w"}, 1, most, 1),
        integers("padding", {"padding_h", "padding_w"}, 0, most, 0),
        integers("output_padding", {"output_padding_h", "output_padding_w"}, 0, most, 0), integer("groups", 1, INT_MAX, 1)};
    // The size of the output from those of input and kernel, and in whole blocks, as kernels take it.
    const std::string H = "(h-1)*stride_h-2*padding_h+kernel_height+output_padding_h",
                      W = "(w-1)*stride_w-2*padding_w+kernel_width+output_padding_w";
    const std::string blocks = ",(" + H + "+stride_h-1)/stride_h*stride_h,(" + W + "+stride_w-1)/stride_w*stride_w";
    const std::string padding = "should be less than the stride [{stride_h}, {stride_w}] but is [{output_padding_h}, "
                                "{output_padding_w}]",
                      kernel = "should have a kernel of at least 1x1 but is {weight}";
    const std::vector<Condition> conditions{
        {"output_padding_h+1 <= stride_h", "output_padding", padding},
        {"output_padding_w+1 <= stride_w", "output_padding", padding},
        {"C%groups == 0", "groups", "should divide the {C} channels of the input but is {groups}"}};
    const auto with = [](auto list, const decltype(list) &more) {
        list.insert(list.end(), more.begin(), more.end());
        return list;
    };
    const std::string empty = "should have a height and width of at least 1 but is [{N}, {E*groups}, {" + H + "}, {" + W +
                              "}]; input is {input}, weight {weight}",
                      size = "should have the size [{" + H + "}, {" + W +
                             "}] that input [{h}, {w}] and a kernel of [{kernel_height}, {kernel_width}] give but is {d_output}";
    Signature forward{
        .name = "transposed_conv",
        .doc = "torch's conv_transpose2d without dilation, for groups of few channels.",
        .inputs = {tensor("input", "N,C,h,w"), tensor("weight", "C,E,kernel_height,kernel_width"),
                   optional_tensor("bias", "E*groups")},
        .options = options,
        .outputs = {{"output", "N,E*groups," + H + "," + W, false, std::nullopt}},
        .run =
            [](Host &, const OperatorCall &c) {
                transposed_conv(options_of(c), c.tensor("input"), c.tensor("weight"), c.tensor("bias"), c.tensor("output"),
                                c.queue);
            },
        .conditions = with(conditions, {{"1 <= " + H, "output", empty}, {"1 <= " + W, "output", empty}}),
        .addressed = {{"output", "N,E*groups" + blocks}},
        .gradients = {{Gradient::Rule::Call, {"input"}, "transposed_conv_d_input"},
                      {Gradient::Rule::Call, {"weight"}, "transposed_conv_d_weight"},
                      {Gradient::Rule::Call, {"bias"}, "transposed_conv_d_bias"}},
        .autocast = Signature::Autocast::ToNarrow,
    };
    // Each of the three is linear in two tensors, and so a gradient of the others.
    Signature d_input{
        .name = "transposed_conv_d_input",
        .doc = "The gradient of transposed_conv by its input, of h x w.",
        .inputs = {tensor("d_output", "N,D,H,W"), tensor("weight", "C,E,kernel_height,kernel_width")},
        .options = with(std::vector{upwell::size("h"), upwell::size("w")}, options),
        .outputs = {{"d_input", "N,C,h,w"}},
        .run =
            [](Host &, const OperatorCall &c) {
                transposed_conv_d_input(options_of(c), c.tensor("d_output"), c.tensor("weight"), c.tensor("d_input"),
                                        c.queue);
            },
        .conditions = with(conditions, {{"D == E*groups", "d_output", "should have {E*groups} channels but is {d_output}"},
                                        {"H == " + H, "d_output", size},
                                        {"W == " + W, "d_output", size}}),
        .addressed = {{"output", "N,D" + blocks}},
        .gradients = {{Gradient::Rule::Call, {"d_output"}, "transposed_conv", {{"input", "d_d_input"}}},
                      {Gradient::Rule::Call, {"weight"}, "transposed_conv_d_weight", {{"input", "d_d_input"}}}},
    };
    Signature d_weight{
        .name = "transposed_conv_d_weight",
        .doc = "The gradient of transposed_conv by its weight, of kernel_height x kernel_width.",
        .inputs = {tensor("d_output", "N,D,H,W"), tensor("input", "N,C,h,w")},
        .options = with(std::vector{upwell::size("kernel_height"), upwell::size("kernel_width")}, options),
        .outputs = {{"d_weight", "C,D/groups,kernel_height,kernel_width"}},
        .run =
            [](Host &, const OperatorCall &c) {
                transposed_conv_d_weight(options_of(c), c.tensor("d_output"), c.tensor("input"), c.tensor("d_weight"),
                                         c.queue);
            },
        .first = {"input"},
        .conditions =
            with(conditions, {{"D%groups == 0", "groups", "should divide the {D} channels of d_output but is {groups}"},
                              {"H == " + H, "d_output", size},
                              {"W == " + W, "d_output", size}}),
        .addressed = {{"output", "N,D" + blocks}},
        .gradients = {{Gradient::Rule::Call, {"d_output"}, "transposed_conv", {{"weight", "d_d_weight"}}},
                      {Gradient::Rule::Call, {"input"}, "transposed_conv_d_input", {{"weight", "d_d_weight"}}}},
    };
    for (const char *side : {"kernel_height", "kernel_width"}) {
        for (Signature *each : {&forward, &d_input}) {
            each->conditions.push_back({std::string("1 <= ") + side, "weight", kernel});
        }
    }
    return {forward, d_input, d_weight,
            {
                .name = "transposed_conv_d_bias",
                .doc = "The gradient of transposed_conv by its bias: the sum of d_output over all but channels.",
                .inputs = {tensor("d_output", "N,D,H,W")},
                .options = {},
                .outputs = {{"d_bias", "D"}},
                .run = [](Host &,
                          const OperatorCall &c) { transposed_conv_d_bias(c.tensor("d_output"), c.tensor("d_bias"), c.queue); },
                .gradients = {{Gradient::Rule::Spread, {"d_output"}}},
            }};
}

}  // namespace upwell
