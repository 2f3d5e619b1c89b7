#include "operators/transposed_conv.h"

#include <algorithm>

#include "error.h"
#include "grid/position.h"
#include "operators/host_operators.h"
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
        maps.insert(maps.end(), tables_.begin(), tables_.end());
        host_.run(kernel_, maps);
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

Options options_of(Named &arguments) {
    Options o{};
    const auto pair = [&](const char *name, int64_t otherwise) {
        const std::string rows = std::string(name) + "_h", columns = std::string(name) + "_w";
        return std::array{arguments.integer(rows, otherwise), arguments.integer(columns, otherwise)};
    };
    o.stride = pair("stride", 1);
    o.padding = pair("padding", 0);
    o.output_padding = pair("output_padding", 0);
    o.groups = arguments.integer("groups", 1);
    return o;
}

void check(const std::string &op, const Options &o) {
    for (const int axis : {0, 1}) {
        const std::string suffix = axis == 0 ? "_h" : "_w";
        check_range(op, "stride" + suffix, o.stride[axis], 1, most_pixels);
        check_range(op, "padding" + suffix, o.padding[axis], 0, most_pixels);
        check_range(op, "output_padding" + suffix, o.output_padding[axis], 0, o.stride[axis] - 1);
    }
    check_range(op, "groups", o.groups, 1, most_pixels);
}

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

void run_transposed_conv(Named &arguments, const Queue *queue) {
    const std::string &op = arguments.op();
    const Tensor &input = arguments.tensor("input"), &weight = arguments.tensor("weight"),
                 &output = arguments.tensor("output");
    const Tensor bias = arguments.tensor("bias", {});
    const Options o = options_of(arguments);
    arguments.finish();
    check(op, o);
    for (const auto &[name, tensor] : {std::pair{"input", &input}, {"weight", &weight}, {"output", &output}}) {
        check_tensor(op, name, *tensor, input.dtype);
        check_contiguous(op, name, *tensor);
    }
    const std::vector<int64_t> &low = input.sizes, &kernel = weight.sizes;
    if (low[1] % o.groups != 0) {
        throw Error(op, "groups",
                    "should divide the " + std::to_string(low[1]) + " channels of the input but is " +
                        std::to_string(o.groups));
    }
    check_sizes(op, "weight", weight, {low[1], kernel[1], kernel[2], kernel[3]});
    check_sizes(op, "output", output,
                {low[0], kernel[1] * o.groups, o.high(0, low[2], kernel[2]), o.high(1, low[3], kernel[3])});
    const Tensor blocks{output.data, output.dtype, block_sizes(o, output), {}};
    check_tensor(op, "output", blocks, input.dtype);
    const Tensor offsets{bias.data, bias.dtype, {1, output.sizes[1], 1, 1}, {}};
    if (bias.data) {
        check_table(op, "bias", bias, input.dtype, {output.sizes[1]});
    }
    for (const Tensor *read : {&input, &weight, &offsets}) {
        if (overlap(*read, output)) {
            throw Error(op, "output", "should not share memory with an input");
        }
    }
    if (element_count(output) > 0) {
        transposed_conv(o, input, weight, bias, output, queue);
    }
}

}  // namespace upwell
