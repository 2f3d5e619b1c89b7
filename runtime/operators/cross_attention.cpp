// Cross-scale attention: windows as tables, and heads as a dimension of their own.
#include <cmath>

#include "error.h"
#include "grid/attention.h"
#include "grid/cell_window.h"
#include "operator_call.h"
#include "tensor.h"
#include "views.h"

namespace upwell {
namespace {

struct Attention {
    explicit Attention(const OperatorCall &call)
        : call(call), heads(call.integer("heads")), is_mean(call.flag("mean_heads")),
          rows(window("h", "H", "kernel_h")), columns(window("w", "W", "kernel_w")) {}

    std::string kernel(const std::string &pass) const {
        return std::string("cross_attention") + (is_mean ? "_mean" : "") + pass;
    }

    // N,C,H,W as N,heads,C of a head,H,W.
    Tensor of_heads(const std::string &name) const { return split(call.tensor(name), 1, heads); }
    Tensor of_values(const std::string &name) const { return split(call.tensor(name), 1, is_mean ? 1 : heads); }

    // What every pass takes; gradients take the output's gradient too.
    std::vector<NamedArgument> arguments(Host &host, bool is_gradient) const {
        const Runs tiles = cells_of_tiles(columns, cross_attention::tile, call.integer("w"));
        const Runs of_rows = cells_of_tiles(rows, 1, call.integer("h"));
        const double depth = static_cast<double>(call.integer("D") / heads);
        std::vector<NamedArgument> all{{"query", of_heads("query")},
                                       {"key", of_heads("key")},
                                       {"value", of_values("value")},
                                       {"column_begin", host.table(columns.begin)},
                                       {"column_end", host.table(columns.end)},
                                       {"row_begin", host.table(rows.begin)},
                                       {"row_end", host.table(rows.end)},
                                       {"tile_first", host.table(tiles.first)},
                                       {"row_first", host.table(of_rows.first)},
                                       {"columns", tiles.count},
                                       {"rows", of_rows.count},
                                       {"scale", 1 / std::sqrt(depth)}};
        if (is_gradient) {
            all.push_back({"d_output", of_values("d_output")});
        }
        return all;
    }

    const OperatorCall &call;
    const int64_t heads;
    const bool is_mean;
    const CellWindow rows, columns;

private:
    // Of an axis.
    CellWindow window(const std::string &low, const std::string &high, const std::string &kernel) const {
        const std::string &rule = call.text("window"), &op = call.op.signature.name;
        const int64_t n = call.integer(low), m = call.integer(high), side = call.integer(kernel);
        const double ratio = call.real("ratio");
        const auto need = [&](bool holds, const char *argument, const std::string &what, const std::string &actual) {
            if (!holds) {
                throw Error(op, argument, "should be " + what + " with window '" + rule + "' but is " + actual);
            }
        };
        if (rule == "ratio") {
            need(ratio > 0, "ratio", "positive", std::to_string(ratio));
            return ratio_window(ratio, n, m);
        }
        if (rule == "whole") {
            return whole_window(n, m);
        }
        need(side >= 1, "kernel", "at least 1", std::to_string(side));
        if (rule == "shifted") {
            return shifted_window(side, n, m);
        }
        need(side % 2 == 1, "kernel", "odd", std::to_string(side));
        return masked_window(side, n, m);
    }
};

void run_forward(Host &host, const OperatorCall &call) {
    const Attention attention(call);
    host.run(attention.kernel(""),
             joined(attention.arguments(host, false), {{"output", attention.of_values("output")}}));
}

// The sum of each pixel's exponentials and the mean of its weights' gradients come first: with them a weight and its
// gradient follow from one query and one key, wherever they are needed.
void run_backward(Host &host, const OperatorCall &call) {
    const Attention attention(call);
    if (call.integer("C") == 0) {
        host.fill(call.tensor("d_query"), 0);
        host.fill(call.tensor("d_key"), 0);
        return;
    }
    const std::vector<NamedArgument> arguments = attention.arguments(host, true);
    const std::vector<int64_t> sizes{call.integer("N"), attention.heads, call.integer("H"), call.integer("W")};
    const Tensor logarithm = host.scratch(sizes), inner = host.scratch(sizes);
    host.run(attention.kernel("_statistics"),
             joined(arguments, {{"statistics.0", logarithm}, {"statistics.1", inner}}));
    const std::vector<NamedArgument> of_pixels = joined(arguments, {{"logarithm", logarithm}, {"inner", inner}});
    host.run(attention.kernel("_d_query"), joined(of_pixels, {{"d_query", attention.of_heads("d_query")}}));
    const Runs blocks =
        pixels_of_blocks(attention.columns, cross_attention::block, call.integer("w"), cross_attention::tile);
    std::vector<NamedArgument> of_cells =
        joined(of_pixels, {{"first_pixel", host.table(blocks.first)}, {"pixels", blocks.count}});
    if (host.backend() != Backend::Cpu) {  // which gathers over rows too
        const Runs of_rows = pixels_of_blocks(attention.rows, 1, call.integer("h"), 1);
        of_cells = joined(of_cells, {{"first_line", host.table(of_rows.first)}, {"lines", of_rows.count}});
    }
    host.run(attention.kernel("_d_key"), joined(of_cells, {{"d_key", attention.of_heads("d_key")}}));
    host.run(attention.kernel("_d_value"), joined(of_cells, {{"d_value", attention.of_values("d_value")}}));
}

}  // namespace

std::vector<Signature> describe_cross_attention() {
    Signature op{
        .name = "cross_attention",
        .doc =
            "Attention of each pixel of a high-res query to the cells of low-res keys in a window of its own (AnyUp, "
            "NAF, "
            "JAFAR): softmax over the window of query . key / sqrt(channels of a head), times value. window: 'shifted' "
            "(kernel cells per axis, moved inside at borders), 'ratio' (what lies within that part of the map around "
            "the "
            "pixel), 'masked' (kernel cells around the pixel's own, without those outside) or 'whole'. mean_heads: the "
            "mean "
            "of the heads' weights serves all channels of value; else each head has its share of them.",
        .inputs = {tensor("query", "N,D,H,W"), tensor("key", "N,D,h,w"), tensor("value", "N,C,h,w")},
        .options = {integer("heads", 1, INT_MAX, 1), text("window", {"shifted", "ratio", "masked", "whole"}),
                    integers("kernel", {"kernel_h", "kernel_w"}, 0, INT_MAX / 2, 0), real("ratio", 0),
                    flag("mean_heads", false)},
        .outputs = {{"output", "N,C,H,W"}},
        .run = run_forward,
        .conditions = {{"1 <= D", "query", "should have channels but is {query}"},
                       {"D%heads == 0", "heads", "should divide the {D} channels of query but is {heads}"},
                       {"C%heads*(1-mean_heads) == 0", "heads",
                        "should divide the {C} channels of value but is {heads}"}},
        .autocast = Signature::Autocast::ToNarrow,
    };
    Signature backward = add_backward(op, {"query", "key", "value"}, run_backward);
    return {op, backward};
}

}  // namespace upwell
