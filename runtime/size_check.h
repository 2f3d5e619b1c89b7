// Whether the sizes and options of a call fit each other, and the sizes of what it makes: for integers, and in torch for
// symbolic sizes too.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "operators.h"
#include "remedy.h"

namespace upwell {

// Report says what a wrong call leads to, and is of the number `Integer`:
//     static std::optional<int64_t> known(const Integer &)   none: it is symbolic
//     static std::string format(const std::vector<Integer> &), format(const Integer &)
//     void fail(const std::string &argument, const std::string &message) const   throws
//     void equal(const Integer &, const Integer &, argument, message) const     throws unless they are, a function's message
//     void at_most(...) const                                                   the same
template<class Report> class SizeCheck {
public:
    using Integer = typename Report::Integer;
    using Sizes = std::vector<Integer>;

    SizeCheck(const Operator &op, const Report &report)
        : op_(op), signature_(op.signature), report_(report), values_(op.symbols.size()),
          tensors_(op.signature.inputs.size()) {}

    // ---- What is known of a call: options by their number, Integers and Sizes by their parts too.

    void set_option(size_t option, Integer value) { values_[op_.option_symbols[option]] = std::move(value); }
    void set_part(size_t option, size_t part, Integer value) {
        values_[op_.part_symbols[option][part]] = std::move(value);
    }
    void set_input(int number, Sizes sizes) { tensors_[number] = std::move(sizes); }

    // ---- Throws, or gives what follows from it.

    void check_option(size_t number) const {
        using Kind = OptionArgument::Kind;
        const OptionArgument &option = signature_.options[number];
        if (option.kind == Kind::Integer || option.kind == Kind::Size) {
            const Integer &value = *values_[op_.option_symbols[number]];
            if (option.built) {
                check_built(option, Report::known(value));
            } else if (!option.is_optional || Report::known(value) != 0) {
                check_range(option, {value}, "");
            }
        } else if (option.kind == Kind::Integers || option.kind == Kind::Sizes) {
            if (option.is_optional && Report::known(*values_[op_.option_symbols[number]]) == 0) {
                return;
            }
            Sizes parts;
            for (const int part : op_.part_symbols[number]) {
                parts.push_back(*values_[part]);
            }
            check_range(option, parts, std::to_string(parts.size()) + " integers ");
        }
    }

    void check() {
        for (size_t i = 0; i < signature_.options.size(); i++) {
            check_option(i);
        }
        for (const int i : op_.order) {
            if (tensors_[i]) {
                check_dimensions(i);
            }
        }
        for (const int i : op_.order) {
            take_sizes(i);
        }
        for (size_t i = 0; i < op_.conditions.size(); i++) {
            check_condition(op_.conditions[i], signature_.conditions[i].argument);
        }
        for (const int i : op_.order) {
            if (tensors_[i]) {
                check_formulas(i);
            }
        }
        for (size_t i = 0; i < op_.outputs.size(); i++) {
            outputs_.push_back(evaluate(op_.outputs[i]));
            check_elements(signature_.outputs[i].name, outputs_.back());
        }
        for (size_t i = 0; i < op_.addressed.size(); i++) {
            check_elements(signature_.addressed[i].first, evaluate(op_.addressed[i]));
        }
    }

    const std::vector<Sizes> &outputs() const { return outputs_; }
    const Values<Integer> &values() const { return values_; }
    std::optional<Integer> value(const std::string &symbol) const {
        const int number = op_.symbols.find(symbol);
        return number < 0 ? std::nullopt : values_[number];
    }

    void check_sizes(const std::string &name, const Sizes &actual, const Sizes &expected) const {
        const auto message = [&] {
            return "should be " + Report::format(expected) + " but is " + Report::format(actual);
        };
        if (actual.size() != expected.size()) {
            report_.fail(name, message());
        }
        for (size_t d = 0; d < expected.size(); d++) {
            report_.equal(actual[d], expected[d], name, message);
        }
    }

private:
    void check_built(const OptionArgument &option, std::optional<int64_t> value) const {
        const std::vector<int64_t> &built = option.built();
        if (std::find(built.begin(), built.end(), value) == built.end()) {
            report_.fail(option.name, "should be one of " + Report::format(Sizes(built.begin(), built.end())) +
                                          " (those that were compiled; " + other_kernels + ") but is " +
                                          (value ? std::to_string(*value) : "unknown"));
        }
    }

    // kind: what a list is called; empty: one value.
    void check_range(const OptionArgument &option, const Sizes &values, const std::string &kind) const {
        for (const Integer &value : values) {
            const auto message = [&] {
                const std::string least = std::to_string(option.least);
                return "should be " + kind +
                       (option.most >= INT_MAX ? (kind.empty() ? "at least " : "of at least ") + least
                                               : "in " + least + " .. " + std::to_string(option.most)) +
                       " but is " + (kind.empty() ? Report::format(values[0]) : Report::format(values));
            };
            report_.at_most(Integer(option.least), value, option.name, message);
            report_.at_most(value, Integer(option.most), option.name, message);
        }
    }

    void check_dimensions(int number) const {
        const TensorArgument &argument = signature_.inputs[number];
        const Sizes &sizes = *tensors_[number];
        const size_t rank = op_.inputs[number].size();
        if (sizes.size() != rank) {
            report_.fail(argument.name, "should have " + std::to_string(rank) + " dimension" + (rank == 1 ? "" : "s") + ", " +
                                            argument.sizes + ", but is " + Report::format(sizes));
        }
        for (size_t d = 0; d < rank; d++) {
            const bool is_side = rank == 4 && d >= 2;
            report_.at_most(Integer(is_side ? 1 : 0), sizes[d], argument.name, [&] {
                return (is_side ? "should have a height and width of at least 1 but is "
                                : "should have sizes of at least 0 but is ") +
                       Report::format(sizes);
            });
        }
        check_elements(argument.name, sizes);
    }

    void check_formulas(int number) const {
        const Operator::Sizes &formulas = op_.inputs[number];
        const Sizes &actual = *tensors_[number];
        const auto message = [&] {
            return "should be " + Report::format(evaluate(formulas)) + " but is " + Report::format(actual);
        };
        for (size_t d = 0; d < formulas.size(); d++) {
            report_.equal(actual[d], formulas[d].evaluate(values_), signature_.inputs[number].name, message);
        }
    }

    // Kernels index with 32 bits. What is symbolic is checked when it is not.
    void check_elements(const std::string &name, const Sizes &sizes) const {
        int64_t most = INT_MAX;
        for (const Integer &size : sizes) {
            const std::optional<int64_t> known = Report::known(size);
            if (!known || *known == 0) {
                return;
            }
            if (*known > most) {
                report_.fail(name, "should have at most 2147483647 elements but is " + Report::format(sizes));
            }
            most /= *known;
        }
    }

    void take_sizes(int number) {
        if (!tensors_[number]) {
            return;
        }
        for (size_t d = 0; d < tensors_[number]->size(); d++) {
            const int symbol = op_.inputs[number][d].symbol();
            if (symbol >= 0 && !values_[symbol]) {
                values_[symbol] = (*tensors_[number])[d];
            }
        }
    }

    void check_condition(const Operator::Condition &condition, const std::string &argument) const {
        const auto message = [&] {
            std::string text;
            for (const Operator::Condition::Piece &piece : condition.message) {
                text += piece.text;
                if (piece.formula) {
                    text += Report::format(piece.formula->evaluate(values_));
                } else if (piece.tensor >= 0 && tensors_[piece.tensor]) {
                    text += Report::format(*tensors_[piece.tensor]);
                }
            }
            return text;
        };
        const Integer left = condition.left.evaluate(values_), right = condition.right.evaluate(values_);
        if (condition.is_equality) {
            report_.equal(left, right, argument, message);
        } else {
            report_.at_most(left, right, argument, message);
        }
    }

    Sizes evaluate(const Operator::Sizes &formulas) const {
        Sizes sizes;
        sizes.reserve(formulas.size());
        for (const Formula &formula : formulas) {
            sizes.push_back(formula.evaluate(values_));
        }
        return sizes;
    }

    const Operator &op_;
    const Signature &signature_;
    const Report &report_;
    Values<Integer> values_;
    std::vector<std::optional<Sizes>> tensors_;  // inputs; nothing: not given
    std::vector<Sizes> outputs_;
};

}  // namespace upwell
