// The operators of a description.
#include "window_operators.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "error.h"
#include "language/description.h"
#include "operators.h"
#include "registry.h"
#include "window_signature.h"

namespace upwell {
namespace {

// The directions of all windows. They stay where they are.
class Table {
public:
    Table() {
        watch_authors([this](const Author &author) { add(author); });
    }

    const WindowOperator *find(const std::string &name) const {
        const std::shared_lock lock(mutex_);
        const auto found = operators_.find(name);
        return found == operators_.end() ? nullptr : found->second;
    }

    std::vector<const WindowOperator *> all() const {
        const std::shared_lock lock(mutex_);
        std::vector<const WindowOperator *> list;
        for (const auto &[name, op] : operators_) {
            list.push_back(op);
        }
        return list;
    }

private:
    // What an operator's arguments are called: those that it takes, and what it makes.
    struct Names {
        std::string value, weights, d_output;
    };

    // The directions of one window, which are called `name` and `name`_d_<what they make>. Returns the one that is
    // called `name`.
    const WindowOperator &add_directions(const WindowOperator &pattern, const std::string &doc, const Names &takes,
                                         const Names &makes) {
        std::array<WindowOperator *, 3> made{};
        const auto add = [&](Direction direction, const std::string &name) {
            WindowOperator op = pattern;
            op.name = name;
            op.direction = direction;
            op.value = direction == Direction::DValue ? "" : takes.value;
            op.weights = direction == Direction::DWeight && op.normaliser != Normaliser::Softmax ? "" : takes.weights;
            op.d_output = direction == Direction::Forward ? "" : takes.d_output;
            op.output = direction == Direction::Forward  ? makes.d_output
                        : direction == Direction::DValue ? makes.value
                                                         : makes.weights;
            op.is_derivative = name != pattern.name;
            op.takes_bias = direction == Direction::DWeight && !pattern.bias.empty();
            op.bias.clear();
            for (const std::string *input : {&op.d_output, &op.value, &op.weights}) {
                if (!input->empty()) {
                    op.inputs.push_back(*input);
                }
            }
            made[static_cast<int>(direction)] = &order_.emplace_back(op);
        };
        // Of products of query and key the weights are what is made first.
        const bool makes_weights = makes.weights == "scores";
        const std::string &own = pattern.name;
        add(Direction::DValue, own + "_" + makes.value);
        if (pattern.has_weights()) {
            add(Direction::DWeight, !makes_weights         ? own + "_" + makes.weights
                                    : pattern.bias.empty() ? own
                                                           : own + "_without_" + pattern.bias);
        }
        add(Direction::Forward, makes_weights ? own + "_" + makes.d_output : own);
        for (WindowOperator *op : made) {
            if (op) {
                std::copy(made.begin(), made.end(), op->directions.begin());
                operators_[op->name] = op;
            }
        }
        for (const WindowOperator *op : {made[1], made[2], made[0]}) {
            if (op) {
                add_operator(signature_of(*op, op->name == own ? doc : "A gradient of " + own + "."));
            }
        }
        if (!pattern.bias.empty()) {
            add_biased(*made[static_cast<int>(Direction::DWeight)], pattern.bias, own, doc);
        }
        return *operators_.at(own);
    }

    // The same products with a bias. They are not a direction of the window: gradients of its gradients have no bias.
    void add_biased(const WindowOperator &products, const std::string &bias, const std::string &name,
                    const std::string &doc) {
        WindowOperator &op = order_.emplace_back(products);
        op.name = name;
        op.bias = bias;
        op.inputs.push_back(bias);
        op.is_derivative = false;
        operators_[name] = &op;
        add_operator(signature_of_bias_gradient(op));
        add_operator(signature_of(op, doc));
    }

    void add(const Author &author) {
        const std::unique_lock lock(mutex_);
        const Description first = author.describe();
        WindowOperator op{};
        op.name = first.name;
        op.normaliser = first.window.normaliser;
        op.has_kernel = first.usual_kernel.has_value();
        op.has_groups = first.has_groups;
        op.has_mask_ratio = first.has_mask_ratio();
        WindowOperator scores = op;
        scores.name = first.name + "_scores";
        scores.normaliser = Normaliser::None;
        scores.has_mask_ratio = false;
        scores.bias = first.bias < 0 ? "" : first.maps[first.bias].name;
        for (size_t border = 0; border < std::max<size_t>(1, first.borders.size()); border++) {
            const Description description = author.describe(0, static_cast<int>(border));
            const std::string choice = first.borders.empty() ? "" : first.borders[border].name;
            const auto add_choice = [&](WindowOperator &to, const Window &window) {
                to.choices.push_back({choice, window.taps, &kernels_of(window.name)});
            };
            add_choice(op, description.window);
            if (description.dot) {
                add_choice(scores, *description.dot);
            }
        }
        const auto name_of = [&](int map) { return map < 0 ? "" : first.maps[map].name; };
        if (!first.dot) {
            const std::string value = name_of(first.value), weights = name_of(first.weights);
            add_directions(op, first.doc, {value, weights, "d_output"}, {"d_" + value, "d_" + weights, "output"});
            return;
        }
        const std::string value = name_of(first.value), query = name_of(first.query), key = name_of(first.key);
        const WindowOperator &products = add_directions(scores, "The scores of " + first.name + ".",
                                                        {key, "d_scores", query}, {"d_" + key, "scores", "d_" + query});
        op.name = first.name + "_sum";
        const WindowOperator &sum = add_directions(op, "The sum of " + first.name + ".", {value, "scores", "d_output"},
                                                   {"d_" + value, "d_scores", "output"});
        add_operator(signature_of(first, products, sum));
    }

    mutable std::shared_mutex mutex_;
    std::deque<WindowOperator> order_;
    std::map<std::string, const WindowOperator *, std::less<>> operators_;
};

Table &table() {
    static Table &all = *new Table;  // threads may outlive the end of main()
    return all;
}

}  // namespace

const std::vector<int64_t> &sides_of(const WindowOperator &op) {
    return op.choices.front().kernels->sides();
}

Taps WindowCall::taps() const {
    Taps taps = op->choices[parameters.border].taps;
    taps.kernel = static_cast<int>(parameters.kernel);
    return taps;
}

std::array<double, 2> WindowCall::scale() const {
    const auto real = [&](double scale, int64_t low, int64_t high) {
        const bool is_ratio =
            std::floor(scale) == scale && scale * static_cast<double>(low) == static_cast<double>(high);
        // Where torch's interpolate takes no notice of it.
        const bool is_aside =
            (high == low && op->sampling() != Sampling::Bicubic) || (!op->sampling().between_cells && high == 2 * low);
        return is_ratio || is_aside ? 0 : scale;
    };
    return {real(parameters.scale[0], h, H), real(parameters.scale[1], w, W)};
}

void describe_windows() {
    table();
}

const WindowOperator *find_window_operator(const std::string &name) {
    return table().find(name);
}

const WindowOperator &find_result(const std::string &name) {
    const Operator *op = find_operator(name);
    return window_operator(op && op->signature.chain ? op->signature.chain->sum : name);
}

std::vector<const WindowOperator *> window_operators() {
    return table().all();
}

const WindowOperator &window_operator(const std::string &name) {
    if (const WindowOperator *op = find_window_operator(name)) {
        return *op;
    }
    refuse_operator(name);
}

WindowCall window_call(const WindowOperator &op, const Parameters &parameters, const std::vector<Tensor> &inputs,
                       const Tensor &output) {
    WindowCall call{&op, parameters, inputs[0].dtype, 0, 0, 0, 0, 0, 0, nullptr, nullptr, nullptr, &output};
    if (!op.has_kernel) {
        call.parameters.kernel = op.choices[parameters.border].taps.kernel;
    }
    const Tensor *next = inputs.data();
    for (const auto &[name, role] : {std::pair{&op.d_output, &call.d_output},
                                     {&op.value, &call.value},
                                     {&op.weights, &call.weights},
                                     {&op.bias, &call.bias}}) {
        if (!name->empty()) {
            *role = next++;
        }
    }
    const std::vector<int64_t> &low = call.value ? call.value->sizes : output.sizes;
    const std::vector<int64_t> &high = call.d_output ? call.d_output->sizes : output.sizes;
    call.N = low[0], call.C = low[1], call.h = low[2], call.w = low[3], call.H = high[2], call.W = high[3];
    return call;
}

}  // namespace upwell
