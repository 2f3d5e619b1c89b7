#include "operators.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <unordered_map>

#include "error.h"
#include "window_operators.h"

namespace upwell {
namespace {

using Kind = OptionArgument::Kind;

std::vector<std::string> split(const std::string &list) {
    std::vector<std::string> parts{""};
    int depth = 0;
    for (const char c : list) {
        depth += (c == '(') - (c == ')');
        if (c == ',' && depth == 0) {
            parts.emplace_back();
        } else {
            parts.back() += c;
        }
    }
    return parts;
}

template<class List> int number_of(const List &list, const std::string &name) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const auto &each) { return each.name == name; });
    return found == list.end() ? -1 : static_cast<int>(found - list.begin());
}

}  // namespace

Operator::Operator(Signature given) : signature(std::move(given)) {
    for (const OptionArgument &option : signature.options) {
        const bool is_integer = option.kind != Kind::Real && option.kind != Kind::Text && option.kind != Kind::Fourier;
        option_symbols.push_back(is_integer ? symbols.add(option.name) : -1);
        std::vector<int> &parts = part_symbols.emplace_back();
        for (const std::string &part : option.parts) {
            parts.push_back(symbols.add(part));
        }
    }
    const auto formulas = [&](const std::string &sizes) {
        Sizes result;
        for (const std::string &size : split(sizes)) {
            result.emplace_back(size, symbols);
        }
        return result;
    };
    for (const TensorArgument &tensor : signature.inputs) {
        inputs.push_back(formulas(tensor.sizes));
    }
    for (const OutputTensor &tensor : signature.outputs) {
        outputs.push_back(formulas(tensor.sizes));
    }
    for (const auto &[name, sizes] : signature.addressed) {
        addressed.push_back(formulas(sizes));
    }
    for (const upwell::Condition &condition : signature.conditions) {
        conditions.push_back(read(condition));
    }
    for (const std::string &name : signature.first) {
        order.push_back(input(name));
    }
    for (int i = 0; i < static_cast<int>(inputs.size()); i++) {
        if (std::find(order.begin(), order.end(), i) == order.end()) {
            order.push_back(i);
        }
    }
}

Operator::Condition Operator::read(const upwell::Condition &given) {
    const bool is_equality = given.formula.find("==") != std::string::npos;
    const size_t at = given.formula.find(is_equality ? "==" : "<=");
    if (at == std::string::npos) {
        throw std::invalid_argument(signature.name + ": a condition should have == or <= but is " + given.formula);
    }
    Condition condition{
        Formula(given.formula.substr(0, at), symbols), Formula(given.formula.substr(at + 2), symbols), is_equality, {}};
    std::string rest = given.message;
    for (size_t open; (open = rest.find('{')) != std::string::npos;) {
        const size_t close = rest.find('}', open);
        const std::string inside = rest.substr(open + 1, close - open - 1);
        const int tensor = input(inside);
        condition.message.push_back(
            {rest.substr(0, open), tensor < 0 ? std::optional(Formula(inside, symbols)) : std::nullopt, tensor});
        rest.erase(0, close + 1);
    }
    condition.message.push_back({rest, std::nullopt});
    return condition;
}

int Operator::input(const std::string &name) const {
    return number_of(signature.inputs, name);
}

int Operator::output(const std::string &name) const {
    return number_of(signature.outputs, name);
}

int Operator::option(const std::string &name) const {
    return number_of(signature.options, name);
}

size_t Operator::returned() const {
    return std::count_if(signature.outputs.begin(), signature.outputs.end(),
                         [](const OutputTensor &output) { return !output.is_kept; });
}

namespace {

// All operators. They stay where they are.
class Registry {
public:
    Registry() {
        for (const auto &describe :
             {describe_adaptive_conv, describe_colour_guided_filter, describe_cross_attention, describe_fold_group_norm,
              describe_group_stats, describe_guided_filter, describe_index_unpool, describe_local_attention,
              describe_merge_kernels, describe_pcdc, describe_pcdc_scores, describe_range_weights,
              describe_sample_at_offsets, describe_transposed_conv, describe_wrc_data, describe_wrc_exact,
              describe_wrc_prior, describe_wrc_spectral}) {
            for (Signature &signature : describe()) {
                add(std::move(signature));
            }
        }
    }

    void add(Signature signature) {
        const std::unique_lock lock(mutex_);
        const Operator &op = all_.emplace_back(std::move(signature));
        by_name_[op.signature.name] = &op;
        for (const auto &visit : visitors_) {
            visit(op);
        }
    }

    void visit(std::function<void(const Operator &)> visitor) {
        const std::unique_lock lock(mutex_);
        for (const Operator &op : all_) {
            visitor(op);
        }
        visitors_.push_back(std::move(visitor));
    }

    const Operator *find(const std::string &name) const {
        const std::shared_lock lock(mutex_);
        const auto found = by_name_.find(name);
        return found == by_name_.end() ? nullptr : found->second;
    }

    std::vector<const Operator *> all() const {
        const std::shared_lock lock(mutex_);
        std::vector<const Operator *> list;
        for (const Operator &op : all_) {
            list.push_back(&op);
        }
        return list;
    }

private:
    mutable std::shared_mutex mutex_;
    std::deque<Operator> all_;
    std::unordered_map<std::string, const Operator *> by_name_;
    std::vector<std::function<void(const Operator &)>> visitors_;
};

Registry &own() {
    static Registry &all = *new Registry;  // threads may outlive the end of main()
    return all;
}

// With those that follow from descriptions.
Registry &registry_of_all() {
    static Registry &all = (describe_windows(), own());
    return all;
}

}  // namespace

void add_operator(Signature signature) {
    own().add(std::move(signature));
}

const Operator *find_operator(const std::string &name) {
    return registry_of_all().find(name);
}

std::vector<const Operator *> operators() {
    return registry_of_all().all();
}

void for_each_operator(std::function<void(const Operator &)> visit) {
    registry_of_all().visit(std::move(visit));
}

void refuse_operator(const std::string &name) {
    std::string names;
    for (const Operator *op : operators()) {
        names += (names.empty() ? "" : ", ") + op->signature.name;
    }
    throw Error("upwell", "operator", "should be one of " + names + " but is '" + name + "'");
}

}  // namespace upwell
