// Attention to the cells at a few offsets from a pixel's own.
#include <cstdlib>

#include "operator_call.h"
#include "operators/listed_taps.h"

namespace upwell {
namespace {

// The published ones, by their number, row-major: squares (9, 25), diamonds (5, 13), and the one of 13 with the
// square's corners (17).
std::vector<Offset> offsets_of(int64_t count) {
    const int64_t radius = count <= 9 ? 1 : 2;
    std::vector<Offset> offsets;
    for (const Offset &offset : square_of_offsets(radius)) {
        const int64_t rows = std::abs(offset.rows), columns = std::abs(offset.columns);
        if (count == 9 || count == 25 || rows + columns <= radius || (count == 17 && rows == columns)) {
            offsets.push_back(offset);
        }
    }
    return offsets;
}

struct Attention {
    Attention(Host &host, const OperatorCall &c)
        : host(host), c(c),
          taps(host, Beyond::Replicate, offsets_of(c.integer("T")), c.integer("h"), c.integer("w"), c.integer("W")),
          ones(host.table(std::vector<double>(c.integer("T"), 1.0))) {}

    Tensor map_of_taps() const {
        return host.scratch({c.integer("N"), c.integer("T"), c.integer("H"), c.integer("W")});
    }

    Tensor weights() const {
        const Tensor weights = map_of_taps();
        scaled_softmax(host, c.tensor("logits"), ones, weights);
        return weights;
    }

    Host &host;
    const OperatorCall &c;
    const ListedTaps taps;
    const Tensor ones;
};

void run_forward(Host &host, const OperatorCall &c) {
    const Attention attention(host, c);
    attention.taps.sum(c.tensor("value"), attention.weights(), c.tensor("output"));
}

void run_backward(Host &host, const OperatorCall &c) {
    const Attention attention(host, c);
    attention.taps.d_value(attention.weights(), c.tensor("d_output"), c.tensor("d_value"));
    const Tensor d_weight = attention.map_of_taps(), unused = attention.map_of_taps();
    attention.taps.d_weight(c.tensor("value"), c.tensor("d_output"), d_weight);
    scaled_softmax_backward(host, c.tensor("logits"), attention.ones, d_weight, c.tensor("d_logits"), unused);
}

}  // namespace

std::vector<Signature> describe_local_attention() {
    Signature op{
        .name = "local_attention",
        .doc = "Attention to a few neighbours (UPLiFT's local attender, arXiv 2601.17950): each pixel is the "
               "softmax-weighted sum of the cells at 5, 9, 13, 17 or 25 offsets from its own, those beyond the map the "
               "nearest ones in it.",
        .inputs = {tensor("value", "N,C,h,w"), wide_tensor("logits", "N,T,H,W")},
        .options = {},
        .outputs = {{"output", "N,C,H,W"}},
        .run = run_forward,
        .conditions = {{"(T-5)*(T-9)*(T-13)*(T-17)*(T-25) == 0", "logits",
                        "should have 5, 9, 13, 17 or 25 channels but is {logits}"},
                       {"H == H/h*h", "logits", "should have a multiple of {h} rows but is {logits}"},
                       {"W == W/w*w", "logits", "should have a multiple of {w} columns but is {logits}"}},
        .autocast = Signature::Autocast::ToNarrow,
    };
    Signature backward = add_backward(op, {"value", "logits"}, run_backward);
    return {op, backward};
}

}  // namespace upwell
