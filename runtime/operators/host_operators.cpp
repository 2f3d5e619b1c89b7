#include "operators/host_operators.h"

#include <algorithm>
#include <stdexcept>

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

HostOperator::HostOperator(Signature given) : signature(std::move(given)) {
    for (const OptionArgument &option : signature.options) {
        if (option.kind != Kind::Real && option.kind != Kind::Text && option.kind != Kind::Fourier) {
            symbols.add(option.name);
        }
        for (const std::string &part : option.parts) {
            symbols.add(part);
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

HostOperator::Condition HostOperator::read(const upwell::Condition &given) {
    const bool is_equality = given.formula.find("==") != std::string::npos;
    const size_t at = given.formula.find(is_equality ? "==" : "<=");
    if (at == std::string::npos) {
        throw std::invalid_argument(signature.name + ": a condition should have == or <= but is " + given.formula);
    }
    Condition condition{Formula(given.formula.substr(0, at), symbols), Formula(given.formula.substr(at + 2), symbols),
                        is_equality, {}};
    std::string rest = given.message;
    for (size_t open; (open = rest.find('{')) != std::string::npos;) {
        const size_t close = rest.find('}', open);
        const std::string inside = rest.substr(open + 1, close - open - 1);
        const int tensor = input(inside);
        condition.message.push_back({rest.substr(0, open),
                                     tensor < 0 ? std::optional(Formula(inside, symbols)) : std::nullopt, tensor});
        rest.erase(0, close + 1);
    }
    condition.message.push_back({rest, std::nullopt});
    return condition;
}

int HostOperator::input(const std::string &name) const {
    return number_of(signature.inputs, name);
}

int HostOperator::output(const std::string &name) const {
    return number_of(signature.outputs, name);
}

int HostOperator::option(const std::string &name) const {
    return number_of(signature.options, name);
}

size_t HostOperator::returned() const {
    return std::count_if(signature.outputs.begin(), signature.outputs.end(),
                         [](const OutputTensor &output) { return !output.is_kept; });
}

const std::deque<HostOperator> &host_operators() {
    static const std::deque<HostOperator> &all = []() -> const std::deque<HostOperator> & {
        auto &result = *new std::deque<HostOperator>;  // threads may outlive the end of main()
        for (const auto &describe :
             {describe_group_stats, describe_guided_filter, describe_merge_kernels, describe_pcdc, describe_pcdc_scores,
              describe_transposed_conv, describe_wrc_data, describe_wrc_exact, describe_wrc_prior,
              describe_wrc_spectral}) {
            for (Signature &signature : describe()) {
                result.emplace_back(std::move(signature));
            }
        }
        return result;
    }();
    return all;
}

const HostOperator *find_host_operator(const std::string &name) {
    const std::deque<HostOperator> &all = host_operators();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const HostOperator &op) { return op.signature.name == name; });
    return found == all.end() ? nullptr : &*found;
}

}  // namespace upwell
