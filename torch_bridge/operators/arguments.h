// What an operator takes in torch: its schema, and the arguments of a call.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/stack.h>

#include "../kernel.h"
#include "runtime/size_check.h"

namespace upwell::bridge {

// As they are in the signature.
struct Arguments {
    std::vector<Tensor> tensors;      // undefined: not given
    std::vector<at::IValue> options;  // of what is no option in torch: nothing
};

// Also makes what is kept for gradients; there only if anything is.
std::string schema(const Operator &op, bool with_kept);

size_t argument_count(const Operator &op);

// first: the first argument.
Arguments read_arguments(const Operator &op, const at::IValue *first);

// Sizes that do not fit each other are refused in torch's way.
struct Refusal {
    using Integer = c10::SymInt;

    const std::string &op;

    static std::optional<int64_t> known(const Integer &number) { return number.maybe_as_int(); }
    static std::string format(const Sizes &sizes) { return bridge::format(sizes); }
    static std::string format(const Integer &number) { return c10::str(number); }
    [[noreturn]] void fail(const std::string &argument, const std::string &message) const {
        C10_THROW_ERROR(Error, c10::str(op, ": ", argument, " ", message));
    }
    template<class Message>
    void equal(const Integer &a, const Integer &b, const std::string &argument, const Message &message) const {
        if (const auto left = known(a), right = known(b); left && right && *left == *right) {
            return;  // a SymBool costs more
        }
        TORCH_SYM_CHECK(a.sym_eq(b), op, ": ", argument, " ", message());
    }
    template<class Message>
    void at_most(const Integer &a, const Integer &b, const std::string &argument, const Message &message) const {
        if (const auto left = known(a), right = known(b); left && right && *left <= *right) {
            return;
        }
        TORCH_SYM_CHECK(a.sym_le(b), op, ": ", argument, " ", message());
    }
};

using Check = SizeCheck<Refusal>;

// The sizes of a call; throws.
Check checked(const Operator &op, const Arguments &arguments, const Refusal &refusal);

// Throws unless its tensors are of one dtype and device that kernels serve.
void check_tensors(const Operator &op, const Arguments &arguments);

}  // namespace upwell::bridge
