// The weights of a joint bilateral filter.
#include "operator_call.h"
#include "operators/listed_taps.h"

namespace upwell {
namespace {

struct Range {
    Range(Host &host, const OperatorCall &c)
        : host(host), c(c), taps(host, Beyond::Reflect, square_of_offsets(c.integer("kernel") / 2), c.integer("H"),
                                 c.integer("W"), c.integer("W")) {}

    Tensor map_of_taps() const {
        const int64_t K = c.integer("kernel");
        return host.scratch({c.integer("N"), K * K, c.integer("H"), c.integer("W")});
    }

    // A product of a query and a key is what a weight's gradient is of a pixel and a value.
    Tensor scores() const {
        const Tensor scores = map_of_taps();
        taps.d_weight(c.tensor("key"), c.tensor("query"), scores);
        return scores;
    }

    Host &host;
    const OperatorCall &c;
    const ListedTaps taps;
};

// The sum over pixels and samples of each tap's map N,T,H,W. In steps: on a GPU a thread has one number of a step.
void sum_of_taps(Host &host, const Tensor &maps, const Tensor &sums) {
    const Host::Scope scope(host);
    const Tensor of_columns = host.scratch({maps.sizes[0], maps.sizes[1], maps.sizes[3]}),
                 of_samples = host.scratch({maps.sizes[0], maps.sizes[1]});
    host.contract({of_columns, "ntx"}, {maps, "ntyx"});
    host.contract({of_samples, "nt"}, {of_columns, "ntx"});
    host.contract({sums, "t"}, {of_samples, "nt"});
}

void run_forward(Host &host, const OperatorCall &c) {
    scaled_softmax(host, Range(host, c).scores(), c.tensor("spatial"), c.tensor("weights"));
}

void run_backward(Host &host, const OperatorCall &c) {
    const Range range(host, c);
    const Tensor d_scores = range.map_of_taps(), by_spatial = range.map_of_taps();
    scaled_softmax_backward(host, range.scores(), c.tensor("spatial"), c.tensor("d_weights"), d_scores, by_spatial);
    sum_of_taps(host, by_spatial, c.tensor("d_spatial"));
    range.taps.sum(c.tensor("key"), d_scores, c.tensor("d_query"));
    range.taps.d_value(d_scores, c.tensor("query"), c.tensor("d_key"));
}

}  // namespace

std::vector<Signature> describe_range_weights() {
    Signature op{
        .name = "range_weights",
        .doc =
            "Weights of a joint bilateral filter with a learned range (FeatUp, arXiv 2403.10516): over the K*K pixels "
            "around each, beyond the map in mirrors, the softmax of query . key times spatial, divided by its sum, or "
            "by "
            "1e-7 if that is more.",
        .inputs = {tensor("query", "N,D,H,W"), tensor("key", "N,D,H,W"), tensor("spatial", "kernel*kernel")},
        .options = {integer("kernel", 1)},
        .outputs = {{"weights", "N,kernel*kernel,H,W"}},
        .run = run_forward,
        .conditions = {{"kernel%2 == 1", "kernel", "should be odd but is {kernel}"},
                       {"1 <= D", "query", "should have channels but is {query}"}},
        .autocast = Signature::Autocast::ToFloat,
    };
    Signature backward = add_backward(op, {"query", "key", "spatial"}, run_backward);
    return {op, backward};
}

}  // namespace upwell
