// A group normalisation folded into the 1x1 convolution behind it: the normalisation is affine once its statistics are
// known, so that convolution and normalisation are one product with weights and a bias of each sample.
#include "operator_call.h"
#include "operators/group_stats.h"
#include "views.h"

namespace upwell {
namespace {

// O outputs and C channels in q groups of c: of the convolution, and of the normalisation. Or gradients of them.
struct FoldInputs {
    Tensor weight, bias;            // O,C and O
    Tensor norm_weight, norm_bias;  // C
    GroupStats stats;               // N,groups
};

class Fold {
public:
    Fold(Host &host, const FoldInputs &in)
        : host(host), in(in), N(in.stats.mean.sizes[0]), C(in.weight.sizes[1]), groups(in.stats.mean.sizes[1]),
          scale(host.scratch({N, C})), offset(host.scratch({N, C})) {
        host.contract(grouped(scale), of_group(in.norm_weight), rstd());
        host.contract(grouped(offset), grouped(scale), mean(), -1, of_group(in.norm_bias));
    }

    Lettered grouped(const Tensor &map) const { return {split(map, 1, groups), "nqc"}; }            // N,C
    Lettered of_group(const Tensor &channels) const { return {split(channels, 0, groups), "qc"}; }  // C
    Lettered mean() const { return {in.stats.mean, "nq"}; }
    Lettered rstd() const { return {in.stats.rstd, "nq"}; }
    Lettered weight() const { return {in.weight, "oc"}; }

    Host &host;
    const FoldInputs &in;
    const int64_t N, C, groups;
    const Tensor scale, offset;  // N,C: the normalisation is x scale + offset
};

void fold(Host &host, const FoldInputs &in, const Tensor &weight, const Tensor &bias) {
    const Host::Scope scope(host);
    const Fold f(host, in);
    host.contract({weight, "noc"}, f.weight(), {f.scale, "nc"});
    host.contract({bias, "no"}, f.weight(), {f.offset, "nc"}, 1, {in.bias, "o"});
}

// d_weight N,O,C and d_bias N,O: of what fold() made.
void fold_backward(Host &host, const FoldInputs &in, const Tensor &d_weight, const Tensor &d_bias,
                   const FoldInputs &d) {
    const Host::Scope scope(host);
    const Fold f(host, in);
    const Lettered of_weight{d_weight, "noc"}, of_bias{d_bias, "no"};
    host.contract({d.bias, "o"}, of_bias);
    host.contract({d.weight, "oc"}, of_weight, {f.scale, "nc"});
    host.contract({d.weight, "oc"}, of_bias, {f.offset, "nc"}, 1, {d.weight, "oc"});
    const Tensor d_offset = host.scratch({f.N, f.C}), d_scale = host.scratch({f.N, f.C});
    host.contract({d_offset, "nc"}, of_bias, f.weight());
    host.contract({d_scale, "nc"}, of_weight, f.weight());
    host.contract(f.grouped(d_scale), f.grouped(d_offset), f.mean(), -1, f.grouped(d_scale));
    host.contract({d.norm_bias, "c"}, {d_offset, "nc"});
    host.contract(f.of_group(d.norm_weight), f.grouped(d_scale), f.rstd());
    host.contract({d.stats.rstd, "nq"}, f.grouped(d_scale), f.of_group(in.norm_weight));
    host.contract({d.stats.mean, "nq"}, f.grouped(d_offset), f.grouped(f.scale), -1);
}

// Of the call, or with a prefix their gradients.
FoldInputs inputs_of(const OperatorCall &c, const std::string &prefix = "") {
    const auto at = [&](const char *name) { return c.tensor(prefix + name); };
    return {at("weight"), at("bias"), at("norm_weight"), at("norm_bias"), {at("mean"), at("rstd")}};
}

}  // namespace

std::vector<Signature> describe_fold_group_norm() {
    Signature op{
        .name = "fold_group_norm",
        .doc = "A group normalisation of known statistics and the 1x1 convolution behind it as one product for each "
               "sample: folded_weight x + folded_bias = weight ((x - mean) rstd norm_weight + norm_bias) + bias.",
        .inputs = {tensor("weight", "O,C"), tensor("bias", "O"), tensor("norm_weight", "C"), tensor("norm_bias", "C"),
                   tensor("mean", "N,groups"), tensor("rstd", "N,groups")},
        .options = {},
        .outputs = {{"folded_weight", "N,O,C"}, {"folded_bias", "N,O"}},
        .run =
            [](Host &host, const OperatorCall &c) {
                fold(host, inputs_of(c), c.tensor("folded_weight"), c.tensor("folded_bias"));
            },
        .first = {"mean"},
        .conditions = {{"C%groups == 0", "mean", "should have groups that divide the {C} channels but is {mean}"}},
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature backward = add_backward(op, input_names(op), [](Host &host, const OperatorCall &c) {
        fold_backward(host, inputs_of(c), c.tensor("d_folded_weight"), c.tensor("d_folded_bias"), inputs_of(c, "d_"));
    });
    return {op, backward};
}

}  // namespace upwell
