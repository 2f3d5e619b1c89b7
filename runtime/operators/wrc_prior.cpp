#include "operators/wrc_prior.h"

#include "grid/reads.h"
#include "operator_call.h"
#include "tensor.h"
#include "views.h"

namespace upwell {
namespace {

constexpr int64_t taps = 9;

Tensor tap_planes(const Tensor &mixed) {
    const std::vector<int64_t> &sizes = mixed.sizes;
    return {mixed.data, mixed.dtype, {sizes[0] * sizes[1] / taps, taps, sizes[2], sizes[3]}, {}};
}

// The same for every sample.
Tensor of_planes(Host &host, const Tensor &lam, int64_t samples) {
    const Tensor planes = host.scratch({samples, lam.sizes[0]});
    host.contract({planes, "nc"}, {lam, "c"});
    return reshaped(planes, {element_count(planes)});
}

// Of one axis: how pixels read cells, and, for a gradient, which pixels read a cell.
void add_axis(std::vector<NamedArgument> &arguments, Host &host, const std::string &name, int64_t low, int64_t scale,
              bool has_transpose) {
    const Reads reads = read_corners(low, low * scale);
    arguments.push_back({name + "s", host.table(reads.lower)});
    arguments.push_back({name + "_fraction", host.table(reads.fraction)});
    if (has_transpose) {
        const Readers readers = readers_of(reads, low);
        arguments.push_back({name + "_first", host.table(readers.first)});
        arguments.push_back({name + "_weight", host.table(readers.weight, {low, readers.count})});
    }
}

std::vector<NamedArgument> maps(Host &host, const std::string &op, const Tensor &x, const Tensor &mixed,
                                const Tensor &lam) {
    return {{"value", planes(op, "x", x)}, {"mixed", tap_planes(mixed)}, {"lam", of_planes(host, lam, x.sizes[0])}};
}

}  // namespace

void wrc_prior(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale, const Tensor &precision,
               const Tensor &weighted, const Queue *queue) {
    const std::string op = "wrc_prior";
    Host host(x.dtype, queue);
    std::vector<NamedArgument> arguments = maps(host, op, x, mixed, lam);
    add_axis(arguments, host, "column", x.sizes[3], scale, false);
    add_axis(arguments, host, "row", x.sizes[2], scale, false);
    arguments.push_back({"prior.0", planes(op, "precision", precision)});
    arguments.push_back({"prior.1", planes(op, "weighted", weighted)});
    host.run(op, arguments);
}

void wrc_prior_backward(const Tensor &x, const Tensor &mixed, const Tensor &lam, int64_t scale,
                       const Tensor &d_precision, const Tensor &d_weighted, const Tensor &d_x, const Tensor &d_mixed,
                       const Tensor &d_lam, const Queue *queue) {
    const std::string op = "wrc_prior_backward";
    Host host(x.dtype, queue);
    std::vector<NamedArgument> arguments = maps(host, op, x, mixed, lam);
    arguments.push_back({"d_precision", planes(op, "d_precision", d_precision)});
    arguments.push_back({"d_weighted", planes(op, "d_weighted", d_weighted)});
    add_axis(arguments, host, "column", x.sizes[3], scale, true);
    add_axis(arguments, host, "row", x.sizes[2], scale, true);
    arguments.push_back({"d_value", planes(op, "d_x", d_x)});
    arguments.push_back({"d_mixed", tap_planes(d_mixed)});
    const Tensor of_samples = host.scratch({x.sizes[0], x.sizes[1]});
    arguments.push_back({"d_lam", reshaped(of_samples, {element_count(of_samples)})});
    host.run(op, arguments);
    host.contract({d_lam, "c"}, {of_samples, "nc"});
}

std::vector<Signature> describe_wrc_prior() {
    Signature op{
        .name = "wrc_prior",
        .doc = "The prior of weighted reverse convolution (WRC, arXiv 2605.17472): log1p(u^2) + lam and the same times z, with "
               "z the bilinear upsampling (align_corners=True) of x, and u a 3x3 convolution (zero border) of the upsampled "
               "map whose channels were mixed before. mixed: the taps of a channel side by side, row-major.",
        .inputs = {tensor("x", "N,C,h,w"), tensor("mixed", "N,C*9,h,w"), tensor("lam", "C")},
        .options = {integer("scale")},
        .outputs = {{"precision", "N,C,h*scale,w*scale"}, {"weighted", "N,C,h*scale,w*scale"}},
        .run =
            [](Host &, const OperatorCall &c) {
                wrc_prior(c.tensor("x"), c.tensor("mixed"), c.tensor("lam"), c.integer("scale"), c.tensor("precision"),
                          c.tensor("weighted"), c.queue);
            },
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature backward = add_backward(op, {"x", "mixed", "lam"}, [](Host &, const OperatorCall &c) {
        wrc_prior_backward(c.tensor("x"), c.tensor("mixed"), c.tensor("lam"), c.integer("scale"), c.tensor("d_precision"),
                          c.tensor("d_weighted"), c.tensor("d_x"), c.tensor("d_mixed"), c.tensor("d_lam"), c.queue);
    });
    return {op, backward};
}

}  // namespace upwell
