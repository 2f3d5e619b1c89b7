// The operators of a description, and what their arguments have to be.
#include "operators.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "error.h"
#include "host.h"
#include "language/description.h"
#include "operators/host_operators.h"
#include "registry.h"
#include "tensor.h"

namespace upwell {
namespace {

// `<argument> should be <expected> but is <actual>`
[[noreturn]] void refuse(const std::string &op, const std::string &argument, const std::string &expected,
                         const std::string &actual) {
    throw Error(op, argument, "should be " + expected + " but is " + actual);
}

// All operators. They stay where they are.
class Table {
public:
    Table() {
        watch_authors([this](const Author &author) { add(author); });
    }

    const Operator *find(const std::string &name) const { return find_in(operators_, name); }
    const Chain *find_chain(const std::string &name) const { return find_in(chains_, name); }

    std::vector<const Operator *> all() const {
        const std::shared_lock lock(mutex_);
        std::vector<const Operator *> list;
        for (const auto &[name, op] : operators_) {
            list.push_back(op);
        }
        return list;
    }

    std::vector<std::string> chain_names() const {
        const std::shared_lock lock(mutex_);
        std::vector<std::string> names;
        for (const auto &[name, chain] : chains_) {
            names.push_back(name);
        }
        return names;
    }

    void visit(OperatorVisitor visitor) {
        const std::unique_lock lock(mutex_);
        for (const Operator &op : order_) {
            visitor.visit_operator(op);
        }
        for (const auto &[name, chain] : chains_) {
            visitor.visit_chain(*chain);
        }
        visitors_.push_back(std::move(visitor));
    }

private:
    template<class T>
    const T *find_in(const std::map<std::string, const T *, std::less<>> &all, const std::string &name) const {
        const std::shared_lock lock(mutex_);
        const auto found = all.find(name);
        return found == all.end() ? nullptr : found->second;
    }

    // What an operator's arguments are called: those that it takes, and what it makes.
    struct Names {
        std::string value, weights, d_output;
    };

    // The directions of one window, which are called `name` and `name`_d_<what they make>.
    void add_directions(const Operator &pattern, const Names &takes, const Names &makes) {
        std::array<Operator *, 3> made{};
        const auto add = [&](Direction direction, const std::string &name) {
            Operator op = pattern;
            op.name = name;
            op.direction = direction;
            op.value = direction == Direction::DValue ? "" : takes.value;
            op.weights = direction == Direction::DWeight && op.normaliser != Normaliser::Softmax ? "" : takes.weights;
            op.d_output = direction == Direction::Forward ? "" : takes.d_output;
            op.output = direction == Direction::Forward  ? makes.d_output
                        : direction == Direction::DValue ? makes.value
                                                         : makes.weights;
            op.is_derivative = name != pattern.name;
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
            add(Direction::DWeight, makes_weights ? own : own + "_" + makes.weights);
        }
        add(Direction::Forward, makes_weights ? own + "_" + makes.d_output : own);
        for (Operator *op : made) {
            if (op) {
                std::copy(made.begin(), made.end(), op->directions.begin());
                operators_[op->name] = op;
            }
        }
        for (Operator *op : {made[1], made[2], made[0]}) {
            for (const OperatorVisitor &visitor : visitors_) {
                if (op) {
                    visitor.visit_operator(*op);
                }
            }
        }
    }

    void add(const Author &author) {
        const std::unique_lock lock(mutex_);
        const Description first = author.describe();
        Operator op{};
        op.name = first.name;
        op.normaliser = first.window.normaliser;
        op.has_kernel = first.usual_kernel.has_value();
        op.has_groups = first.has_groups;
        op.has_mask_ratio = first.has_mask_ratio();
        Operator scores = op;
        scores.name = first.name + "_scores";
        scores.normaliser = Normaliser::None;
        scores.has_mask_ratio = false;
        for (size_t border = 0; border < std::max<size_t>(1, first.borders.size()); border++) {
            const Description description = author.describe(0, static_cast<int>(border));
            const std::string choice = first.borders.empty() ? "" : first.borders[border].name;
            const auto add_choice = [&](Operator &to, const Window &window) {
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
            add_directions(op, {value, weights, "d_output"}, {"d_" + value, "d_" + weights, "output"});
            return;
        }
        const std::string value = name_of(first.value), query = name_of(first.query), key = name_of(first.key);
        add_directions(scores, {key, "d_scores", query}, {"d_" + key, "scores", "d_" + query});
        op.name = first.name + "_sum";
        add_directions(op, {value, "scores", "d_output"}, {"d_" + value, "d_scores", "output"});
        Chain &chain = chain_list_.emplace_back();
        chain.name = first.name;
        for (const MapArgument &map : first.maps) {
            chain.inputs.push_back(map.name);
        }
        chain.parts = {first.value, first.query, first.key};
        chain.scores = operators_.at(scores.name);
        chain.sum = operators_.at(op.name);
        chains_[chain.name] = &chain;
        for (const OperatorVisitor &visitor : visitors_) {
            visitor.visit_chain(chain);
        }
    }

    mutable std::shared_mutex mutex_;
    std::deque<Operator> order_;
    std::deque<Chain> chain_list_;
    std::map<std::string, const Operator *, std::less<>> operators_;
    std::map<std::string, const Chain *, std::less<>> chains_;
    std::vector<OperatorVisitor> visitors_;
};

Table &table() {
    static Table &all = *new Table;  // threads may outlive the end of main()
    return all;
}

void check_parameters(const Operator &op, const Parameters &parameters) {
    const std::vector<int64_t> &built = sides_of(op);
    if (std::find(built.begin(), built.end(), parameters.kernel) == built.end()) {
        refuse(op.name, "kernel", "one of " + format(built) + " (those that were built)",
               std::to_string(parameters.kernel));
    }
    const int64_t most_groups = op.has_groups ? INT32_MAX : 1;
    if (parameters.groups < 1 || parameters.groups > most_groups) {
        refuse(op.name, "groups", "in 1 .. " + std::to_string(most_groups), std::to_string(parameters.groups));
    }
    if (parameters.mask_ratio < 0 || (parameters.mask_ratio > 0 && !op.has_mask_ratio)) {
        refuse(op.name, "mask_ratio", op.has_mask_ratio ? "at least 1, or 0 for the true ratio" : "0",
               std::to_string(parameters.mask_ratio));
    }
    const int most_border = static_cast<int>(op.choices.size()) - 1;
    if (parameters.border < 0 || parameters.border > most_border) {
        refuse(op.name, "border", "in 0 .. " + std::to_string(most_border), std::to_string(parameters.border));
    }
    for (const double scale : parameters.scale) {
        if (!(scale >= 0) || std::isinf(scale) || (scale > 0 && op.has_weights())) {
            refuse(op.name, "scale", op.has_weights() ? "0" : "positive and finite, or 0 for the true ratio",
                   std::to_string(scale));
        }
    }
}

}  // namespace

const std::vector<int64_t> &sides_of(const Operator &op) {
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
        // compute_source_index_and_lambda and nearest_idx in ATen/native/UpSample.h
        const bool is_aside = high == low || (!op->sampling().between_cells && high == 2 * low);
        return is_ratio || is_aside ? 0 : scale;
    };
    return {real(parameters.scale[0], h, H), real(parameters.scale[1], w, W)};
}

const Operator *find_window_operator(const std::string &name) {
    return table().find(name);
}

const Chain *find_chain(const std::string &name) {
    return table().find_chain(name);
}

const Operator &find_result(const std::string &name) {
    const Chain *chain = find_chain(name);
    return chain ? *chain->sum : find_operator(name);
}

std::vector<const Operator *> operators() {
    return table().all();
}

const Operator &find_operator(const std::string &name) {
    if (const Operator *op = find_window_operator(name)) {
        return *op;
    }
    std::string known;
    for (const Operator *op : operators()) {
        known += (known.empty() ? "" : ", ") + op->name;
    }
    for (const std::string &chain : table().chain_names()) {
        known += ", " + chain;
    }
    for (const HostOperator &host : host_operators()) {
        known += ", " + host.signature.name;
    }
    refuse("upwell", "operator", "one of " + known, "'" + name + "'");
}

void for_each_operator_and_chain(OperatorVisitor visitor) {
    table().visit(std::move(visitor));
}

WindowCall window_call(const Operator &op, const Parameters &parameters, const std::vector<Tensor> &inputs,
                       const Tensor &output) {
    WindowCall call{&op, parameters, inputs[0].dtype, 0, 0, 0, 0, 0, 0, nullptr, nullptr, nullptr, &output};
    const Tensor *next = inputs.data();
    for (const auto &[name, role] :
         {std::pair{&op.d_output, &call.d_output}, {&op.value, &call.value}, {&op.weights, &call.weights}}) {
        if (!name->empty()) {
            *role = next++;
        }
    }
    const std::vector<int64_t> &low = call.value ? call.value->sizes : output.sizes;
    const std::vector<int64_t> &high = call.d_output ? call.d_output->sizes : output.sizes;
    call.N = low[0], call.C = low[1], call.h = low[2], call.w = low[3], call.H = high[2], call.W = high[3];
    return call;
}

WindowCall check(const Operator &op, const Parameters &parameters, const std::vector<Tensor> &inputs,
                 const Tensor &output) {
    check_parameters(op, parameters);
    const std::vector<std::string> &names = op.inputs;
    if (inputs.size() != names.size()) {
        refuse(op.name, "inputs", std::to_string(names.size()) + " tensors", std::to_string(inputs.size()));
    }
    const Dtype dtype = inputs[0].dtype;  // of the maps
    check_tensor(op.name, op.output, output, op.direction == Direction::DWeight ? wide(dtype) : dtype);
    for (size_t i = 0; i < inputs.size(); i++) {
        check_tensor(op.name, names[i], inputs[i], names[i] == op.weights ? wide(dtype) : dtype);
    }
    const WindowCall call = window_call(op, parameters, inputs, output);
    if (call.C % parameters.groups != 0) {
        refuse(op.name, "groups", "a divisor of the " + std::to_string(call.C) + " channels",
               std::to_string(parameters.groups));
    }
    const int64_t taps = parameters.groups * parameters.kernel * parameters.kernel;
    const std::vector<int64_t> weights{call.N, taps, call.H, call.W}, map{call.N, call.C, call.H, call.W};
    if (call.weights) {
        check_sizes(op.name, op.weights, *call.weights, weights);
    }
    if (call.d_output) {
        check_sizes(op.name, op.d_output, *call.d_output, map);
    }
    if (op.direction != Direction::DValue) {
        check_sizes(op.name, op.output, output, op.direction == Direction::Forward ? map : weights);
    }
    if (!is_contiguous(output)) {
        throw Error(op.name, op.output, "should be contiguous");
    }
    for (size_t i = 0; i < inputs.size(); i++) {
        if (overlap(inputs[i], output)) {
            throw Error(op.name, op.output, "should not share memory with " + names[i]);
        }
        if (parameters.groups > 1 && !is_splittable(inputs[i])) {
            throw Error(op.name, names[i], "should have its channels and batch contiguous when groups > 1");
        }
    }
    return call;
}

}  // namespace upwell
