// One call of an operator.
#pragma once

#include <string>
#include <vector>

#include "host.h"
#include "named.h"
#include "operators.h"

namespace upwell {

class OperatorCall {
public:
    explicit OperatorCall(const Operator &op)
        : op(op), inputs(op.inputs.size()), outputs(op.outputs.size()), numbers(op.symbols.size()),
          options(op.signature.options.size()) {}

    // An input or an output. One without data: it was not given.
    const Tensor &tensor(const std::string &name) const;
    int64_t integer(const std::string &symbol) const { return *numbers[op.symbols.find(symbol)]; }
    bool flag(const std::string &name) const { return integer(name) != 0; }
    double real(const std::string &name) const { return std::get<double>(option(name)); }
    const std::string &text(const std::string &name) const { return std::get<std::string>(option(name)); }
    const Fourier &fourier() const { return std::get<Fourier>(option("fourier")); }

    const Operator &op;
    const Queue *queue = nullptr;
    std::vector<Tensor> inputs, outputs;  // as they are in the signature; contiguous, unless inputs may have strides
    Values<int64_t> numbers;              // integers among the options, and sizes
    std::vector<Value> options;           // the others

private:
    const Value &option(const std::string &name) const { return options[op.option(name)]; }
};

// Runs a call whose tensors and options fit each other. Outputs that are kept may have no data.
void run(OperatorCall call);

// Throws Error unless it does: a number that is no integer, or a text.
void check_option(const std::string &op, const OptionArgument &option, const Value &value);

// Checks and runs a call by name; throws Error.
void run_named(const Operator &op, Named &arguments, const Queue *queue);

}  // namespace upwell
