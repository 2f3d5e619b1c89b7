// Cells times the index of their pixels (IndexNet, arXiv 1908.00672).
#include <algorithm>

#include "host.h"
#include "operator_call.h"
#include "views.h"

namespace upwell {
namespace {

// Of an axis: the cell of each pixel.
std::vector<int> cells_of(int64_t pixels, int64_t cells) {
    std::vector<int> table;
    for (int64_t p = 0; p < pixels; p++) {
        table.push_back(static_cast<int>(p * cells / pixels));
    }
    return table;
}

// The first pixel of each cell, and where those of the last one end.
std::vector<int> first_of(int64_t cells, int64_t pixels) {
    std::vector<int> table;
    for (int64_t c = 0; c <= cells; c++) {
        table.push_back(static_cast<int>((c * pixels + cells - 1) / cells));
    }
    return table;
}

int64_t most(const std::vector<int> &first) {
    int most = 0;
    for (size_t i = 1; i < first.size(); i++) {
        most = std::max(most, first[i] - first[i - 1]);
    }
    return most;
}

class Unpooling {
public:
    Unpooling(Host &host, const OperatorCall &c, int64_t high_rows, int64_t high_columns)
        : host_(host), N_(c.integer("N")), C_(c.integer("C")), h_(c.integer("h")), w_(c.integer("w")),
          scale_(c.integer("scale")), groups_(c.integer("groups")), W_(high_columns) {
        constexpr int64_t most_rows = 16;  // a task has all rows of j
        S_ = scale_ > 1 ? scale_ : high_rows % h_ == 0 && high_rows / h_ <= most_rows ? high_rows / h_ : 1;
        J_ = high_rows / S_;
    }

    // N,C,h,w as N,G,C/G,h,w.
    Tensor low(const Tensor &map) const { return reshaped(map, {N_, groups_, C_ / groups_, h_, w_}); }
    // N,C,H,W as N,G,C/G,J,S,W.
    Tensor high(const Tensor &map) const { return reshaped(map, {N_, groups_, C_ / groups_, J_, S_, W_}); }
    // As N,G,J,S,B,Q: where a pixel's place in its cell is a channel, or where the index is a map of pixels.
    Tensor index(const Tensor &given) const {
        const int64_t B = scale_, Q = W_ / B, plane = J_ * S_ * W_;
        const bool is_low = scale_ > 1;
        return {given.data,
                given.dtype,
                {N_, groups_, J_, S_, B, Q},
                {groups_ * plane, plane, is_low ? Q : S_ * W_, is_low ? B * J_ * Q : W_, is_low ? J_ * Q : W_, 1}};
    }

    Tensor columns() const {
        std::vector<int> table = cells_of(W_, w_);
        for (int64_t x = 0; x < W_; x++) {
            table.push_back(static_cast<int>(x / scale_));
        }
        for (int64_t x = 0; x < W_; x++) {
            table.push_back(static_cast<int>(x % scale_));
        }
        return host_.table(table, {3, W_});
    }
    Tensor rows() const { return host_.table(cells_of(J_, h_)); }

    std::vector<NamedArgument> firsts() const {
        const std::vector<int> x = first_of(w_, W_), j = first_of(h_, J_);
        return {{"first_x", host_.table(x)}, {"first_j", host_.table(j)}, {"most_x", most(x)}, {"most_j", most(j)}};
    }

private:
    Host &host_;
    const int64_t N_, C_, h_, w_, scale_, groups_, W_;
    int64_t S_, J_;
};

void run_forward(Host &host, const OperatorCall &c) {
    const int64_t scale = c.integer("scale");
    const Unpooling u(host, c, c.integer("p") * scale, c.integer("q") * scale);
    host.run("index_unpool", {{"value", u.low(c.tensor("value"))},
                              {"index", u.index(c.tensor("index"))},
                              {"columns", u.columns()},
                              {"rows", u.rows()},
                              {"output", u.high(c.tensor("output"))}});
}

void run_d_value(Host &host, const OperatorCall &c) {
    const Unpooling u(host, c, c.integer("H"), c.integer("W"));
    host.run("index_unpool_d_value", joined(u.firsts(), {{"d_output", u.high(c.tensor("d_output"))},
                                                         {"index", u.index(c.tensor("index"))},
                                                         {"columns", u.columns()},
                                                         {"d_value", u.low(c.tensor("d_value"))}}));
}

void run_d_index(Host &host, const OperatorCall &c) {
    const Unpooling u(host, c, c.integer("H"), c.integer("W"));
    host.run("index_unpool_d_index", {{"d_output", u.high(c.tensor("d_output"))},
                                      {"value", u.low(c.tensor("value"))},
                                      {"columns", u.columns()},
                                      {"rows", u.rows()},
                                      {"of_q", c.integer("scale")},
                                      {"d_index", u.index(c.tensor("d_index"))}});
}

}  // namespace

// Each of the three is linear in two tensors, and so a gradient of the others.
std::vector<Signature> describe_index_unpool() {
    using Rule = Gradient::Rule;
    // A number is itself where scale is 1, else so many cells times the scale.
    const auto whole = [](const std::string &high, const std::string &low, const std::string &times) {
        return high + " == " + low + times + "+(" + high + "-" + low + ")*max(2-scale,0)";
    };
    const std::vector<OptionArgument> options{integer("scale", 1, INT_MAX, 1), integer("groups", 1, INT_MAX, 1)};
    const Condition divides{"C%groups == 0", "groups", "should divide the {C} channels of value but is {groups}"};
    const std::string of_index = "should have the {h} rows and {w} columns of value but is {index}",
                      of_gradient = "should have {h*scale} rows and {w*scale} columns but is {d_output}";
    const std::string pixels = "N,groups*scale*scale,H/scale,W/scale";
    Signature forward{
        .name = "index_unpool",
        .doc =
            "Every pixel is its cell times its index (IndexNet, arXiv 1908.00672): nearest upsampling of value times "
            "index, which all channels of a group share. scale above 1: the index has the places of value, and for "
            "each "
            "scale*scale channels, its pixels row by row.",
        .inputs = {tensor("value", "N,C,h,w"), wide_tensor("index", "N,groups*scale*scale,p,q")},
        .options = options,
        .outputs = {{"output", "N,C,p*scale,q*scale"}},
        .run = run_forward,
        .conditions = {divides, {whole("p", "h", ""), "index", of_index}, {whole("q", "w", ""), "index", of_index}},
        .gradients = {{Rule::Call, {"value"}, "index_unpool_d_value"}, {Rule::Call, {"index"}, "index_unpool_d_index"}},
        .autocast = Signature::Autocast::ToNarrow,
    };
    const std::vector<Condition> conditions{divides,
                                            {whole("H", "h", "*scale"), "d_output", of_gradient},
                                            {whole("W", "w", "*scale"), "d_output", of_gradient}};
    Signature d_value{
        .name = "index_unpool_d_value",
        .doc = "The gradient of index_unpool by value, of h x w.",
        .inputs = {tensor("d_output", "N,C,H,W"), wide_tensor("index", pixels)},
        .options = {size("h"), size("w"), options[0], options[1]},
        .outputs = {{"d_value", "N,C,h,w"}},
        .run = run_d_value,
        .conditions = conditions,
        .gradients = {{Rule::Call, {"d_output"}, "index_unpool", {{"value", "d_d_value"}}},
                      {Rule::Call, {"index"}, "index_unpool_d_index", {{"value", "d_d_value"}}}},
    };
    Signature d_index{
        .name = "index_unpool_d_index",
        .doc = "The gradient of index_unpool by index.",
        .inputs = {tensor("d_output", "N,C,H,W"), tensor("value", "N,C,h,w")},
        .options = options,
        .outputs = {{"d_index", pixels}},
        .run = run_d_index,
        .conditions = conditions,
        .gradients = {{Rule::Call, {"d_output"}, "index_unpool", {{"index", "d_d_index"}}},
                      {Rule::Call, {"value"}, "index_unpool_d_value", {{"index", "d_d_index"}}}},
    };
    d_index.outputs[0].is_wide = true;
    return {forward, d_value, d_index};
}

}  // namespace upwell
