// What an operator with a host side of its own takes in torch: its schema, and the arguments of a call.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/stack.h>

#include "../kernel.h"
#include "runtime/size_check.h"

namespace upwell::bridge {

// As they are in the signature.
struct HostArguments {
    std::vector<Tensor> tensors;      // undefined: not given
    std::vector<at::IValue> options;  // of what is no option in torch: nothing
};

// Also makes what is kept for gradients; there only if anything is.
std::string schema(const HostOperator &op, bool with_kept);

size_t argument_count(const HostOperator &op);

// first: the first argument.
HostArguments read_arguments(const HostOperator &op, const at::IValue *first);

// Sizes that do not fit each other are refused in torch's way.
struct Refusal {
    using Integer = c10::SymInt;

    std::string op;

    static std::optional<int64_t> known(const Integer &number) { return number.maybe_as_int(); }
    static std::string format(const Sizes &sizes) { return bridge::format(sizes); }
    static std::string format(const Integer &number) { return c10::str(number); }
    [[noreturn]] void fail(const std::string &argument, const std::string &message) const {
        C10_THROW_ERROR(Error, c10::str(op, ": ", argument, " ", message));
    }
    template<class Message>
    void equal(const Integer &a, const Integer &b, const std::string &argument, const Message &message) const {
        TORCH_SYM_CHECK(a.sym_eq(b), op, ": ", argument, " ", message());
    }
    template<class Message>
    void at_most(const Integer &a, const Integer &b, const std::string &argument, const Message &message) const {
        TORCH_SYM_CHECK(a.sym_le(b), op, ": ", argument, " ", message());
    }
};

using HostCheck = SizeCheck<Refusal>;

// The sizes of a call; throws.
HostCheck checked(const HostOperator &op, const HostArguments &arguments, const Refusal &refusal);

// Throws unless its tensors are of one dtype and device that kernels serve.
void check_tensors(const HostOperator &op, const HostArguments &arguments);

}  // namespace upwell::bridge
