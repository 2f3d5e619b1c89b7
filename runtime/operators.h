// The operators there are.
#pragma once

#include <functional>

#include "formula.h"
#include "signature.h"

namespace upwell {

// A signature with its formulas understood. Throws std::invalid_argument where one makes no sense.
class Operator {
public:
    explicit Operator(Signature given);

    const Signature signature;
    Symbols symbols;

    using Sizes = std::vector<Formula>;
    std::vector<Sizes> inputs, outputs, addressed;  // as they are in the signature
    struct Condition {
        Formula left, right;
        bool is_equality;  // or at most
        // Its message in pieces: of each a text, and what comes behind it, a formula or a tensor, or nothing.
        struct Piece {
            std::string text;
            std::optional<Formula> formula;
            int tensor = -1;
        };
        std::vector<Piece> message;
    };
    std::vector<Condition> conditions;
    std::vector<int> order;  // of inputs, as sizes are taken from them
    std::vector<int> option_symbols;             // of each option its own; -1: it is no integer
    std::vector<std::vector<int>> part_symbols;  // of each option those of its parts

    int input(const std::string &name) const;   // its number; -1: it is not among them
    int output(const std::string &name) const;
    int option(const std::string &name) const;
    size_t returned() const;  // outputs that callers see, which come before the others

private:
    Condition read(const upwell::Condition &given);
};

// null: there is none.
const Operator *find_operator(const std::string &name);
std::vector<const Operator *> operators();
// Throws Error with the names there are.
[[noreturn]] void refuse_operator(const std::string &name);

// Calls it for every operator there is, gradients of windows before what they belong to and all others after it, and for
// each that is added.
void for_each_operator(std::function<void(const Operator &)> visit);
void add_operator(Signature signature);

// Each operator with a host side of its own, and the gradients that are operators.
std::vector<Signature> describe_adaptive_conv();
std::vector<Signature> describe_colour_guided_filter();
std::vector<Signature> describe_cross_attention();
std::vector<Signature> describe_fold_group_norm();
std::vector<Signature> describe_group_stats();
std::vector<Signature> describe_guided_filter();
std::vector<Signature> describe_index_unpool();
std::vector<Signature> describe_local_attention();
std::vector<Signature> describe_merge_kernels();
std::vector<Signature> describe_pcdc();
std::vector<Signature> describe_pcdc_scores();
std::vector<Signature> describe_range_weights();
std::vector<Signature> describe_sample_at_offsets();
std::vector<Signature> describe_transposed_conv();
std::vector<Signature> describe_wrc_data();
std::vector<Signature> describe_wrc_exact();
std::vector<Signature> describe_wrc_prior();
std::vector<Signature> describe_wrc_spectral();

}  // namespace upwell
