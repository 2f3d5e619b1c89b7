#include "operators/pcdc.h"

#include "error.h"
#include "operators/host_operators.h"
#include "tensor.h"
#include "views.h"

namespace upwell::pcdc {
namespace {

// What both directions need.
struct Difference {
    Difference(Host &host, const DifferenceInputs &in, int64_t groups, const Ratio &ratio)
        : channels{in.query.sizes[0], groups, in.weight.sizes[1], in.weight.sizes[0] / groups,
                   padded_channels(in.weight.sizes[0] / groups, 1)},
          taps(host, in.weight, ratio),
          fold(host, channels, taps, in.bias.data ? in.bias : host.constant(0, {in.weight.sizes[0]}), {}),
          call(host, channels, in.key, in.query, fold.weights(), taps.offsets(), false) {}

    // N,L,H,W as kernels index it.
    Tensor phased(const Tensor &map) const { return call.tiling.phased(split(map, 1, channels.groups)); }

    const Channels channels;
    const Taps taps;
    const Fold fold;
    const Call call;
};

}  // namespace

void difference(Host &host, const DifferenceInputs &in, int64_t groups, const Ratio &ratio, const Tensor &output) {
    const Difference difference(host, in, groups, ratio);
    Arguments arguments;
    arguments.add("output", difference.phased(output));
    difference.call.run("", arguments);
}

void difference_adjoint(Host &host, const Tensor &d_output, const DifferenceInputs &in, int64_t groups,
                        const Ratio &ratio, const DifferenceInputs &d) {
    const Difference difference(host, in, groups, ratio);
    const auto &[fold, call, channels] = std::tie(difference.fold, difference.call, difference.channels);
    Arguments arguments;
    arguments.add("d_output", difference.phased(d_output), 0, 1);
    arguments.add("back_weight", fold.back(Fold::Columns::TapsAndQuery), 0, 1);
    const Adjoint found{host.scratch({channels.N, groups, call.columns().compressor(), channels.padded}), d.query,
                        d.key};
    call.run_adjoint("_adjoint", arguments, 0, found);
    const Fold::Found weights{found.weights, call.columns()};
    const Fold::Gradients gradients = fold.unfold(weights, weights, d.bias, {});
    difference.taps.gather(gradients.d_taps, gradients.d_sum, d.weight);
}

}  // namespace upwell::pcdc

namespace upwell {

void run_pcdc(Named &arguments, const Queue *queue) {
    const std::string &op = arguments.op();
    const Tensor &key = arguments.tensor("key"), &query = arguments.tensor("query"),
                 &weight = arguments.tensor("weight"), &output = arguments.tensor("output");
    const Tensor bias = arguments.tensor("bias", Tensor());
    const int64_t groups = arguments.integer("groups", 1);
    const pcdc::Ratio ratio{arguments.integer("dilation_h", 1), 1, arguments.integer("dilation_w", 1), 1};
    arguments.finish();
    for (const auto &[name, tensor] :
         {std::pair{"key", &key}, {"query", &query}, {"weight", &weight}, {"output", &output}}) {
        check_tensor(op, name, *tensor, query.dtype);
        check_contiguous(op, name, *tensor);
    }
    const int64_t N = query.sizes[0], D = query.sizes[1], L = weight.sizes[0], K = weight.sizes[2];
    if (groups < 1 || D < 1 || D % groups != 0 || L % groups != 0) {
        throw Error(op, "groups",
                    "should divide the " + std::to_string(D) + " channels and " + std::to_string(L) +
                        " outputs but is " + std::to_string(groups));
    }
    check_range(op, "dilation_h", ratio[0], 1, INT32_MAX);
    check_range(op, "dilation_w", ratio[2], 1, INT32_MAX);
    if (K % 2 == 0) {
        throw Error(op, "weight", "should have an odd kernel but is " + format(weight.sizes));
    }
    check_sizes(op, "key", key, query.sizes);
    check_sizes(op, "weight", weight, {L, D / groups, K, K});
    check_sizes(op, "output", output, {N, L, query.sizes[2], query.sizes[3]});
    if (bias.data) {
        check_table(op, "bias", bias, query.dtype, {L});
    }
    if (overlap(key, output) || overlap(query, output)) {
        throw Error(op, "output", "should not share memory with key or query");
    }
    if (element_count(output) > 0) {
        Host host(query.dtype, queue);
        pcdc::difference(host, {key, query, weight, bias}, groups, ratio, output);
    }
}

}  // namespace upwell
