// Integer formulas over what a call says: "(h-1)*stride_h-2*padding_h+kernel_height".
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace upwell {

// Names, and a number for each of them.
class Symbols {
public:
    int find(const std::string &name) const;  // -1: it is not among them
    int add(const std::string &name);         // or the one that it has
    size_t size() const { return names_.size(); }
    const std::string &name(int symbol) const { return names_[symbol]; }

private:
    std::vector<std::string> names_;
};

// What symbols stand for; nothing: not known yet.
template<class Int> using Values = std::vector<std::optional<Int>>;

class Formula {
public:
    // Sums, differences, products, quotients (rounded down), remainders, brackets and max(a,b) of integers and names,
    // which are added to symbols. Throws std::invalid_argument.
    Formula(const std::string &text, Symbols &symbols);

    // The symbol that is all of it; -1: it is more, or a number.
    int symbol() const { return steps_.size() == 1 && steps_[0].kind == Step::Symbol ? int(steps_[0].value) : -1; }

    // The symbols in it are known.
    template<class Int> Int evaluate(const Values<Int> &values) const;

private:
    struct Step {
        enum Kind { Number, Symbol, Add, Subtract, Multiply, Divide, Remainder, Max } kind;
        int64_t value = 0;
    };
    class Parser;
    static constexpr int most_operands = 8;  // that wait for what is done with them
    std::vector<Step> steps_;  // operands before what is done with them
};

template<class Int> Int Formula::evaluate(const Values<Int> &values) const {
    if (const int alone = symbol(); alone >= 0) {
        return *values[alone];
    }
    std::array<Int, most_operands> stack{};
    int count = 0;
    for (const Step &step : steps_) {
        if (step.kind == Step::Number) {
            stack[count++] = Int(step.value);
            continue;
        }
        if (step.kind == Step::Symbol) {
            stack[count++] = *values[step.value];
            continue;
        }
        const Int &right = stack[--count];
        Int &left = stack[count - 1];
        switch (step.kind) {
        case Step::Add:
            left = left + right;
            break;
        case Step::Subtract:
            left = left - right;
            break;
        case Step::Multiply:
            left = left * right;
            break;
        case Step::Divide:
            left = left / right;
            break;
        case Step::Remainder:
            left = left % right;
            break;
        default:
            if constexpr (std::is_integral_v<Int>) {
                left = std::max(left, right);
            } else {
                left = left.max(right);
            }
        }
    }
    return stack[0];
}

}  // namespace upwell
