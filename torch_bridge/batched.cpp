#include "batched.h"

#include <algorithm>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/functorch/BatchedTensorImpl.h>
#include <ATen/ops/stack.h>

namespace upwell::bridge {
namespace {

using at::IValue;
using torch::jit::Stack;

// A tensor of a call, its mapped dimension the first.
struct Mapped {
    Tensor tensor;
    bool is_mapped;

    c10::SymInt size(int64_t dimension) const { return tensor.sym_size(dimension + is_mapped); }

    // With the mapped dimension, of `count`, as a part of the first other one.
    Tensor in_batch(const c10::SymInt &count) const {
        Sizes sizes = tensor.sym_sizes().vec();
        if (!is_mapped) {
            sizes.insert(sizes.begin(), count);
        }
        Sizes flat(sizes.begin() + 1, sizes.end());
        flat[0] = flat[0] * count;
        return tensor.expand_symint(sizes).reshape_symint(flat);
    }
};

const at::functorch::BatchedTensorImpl *mapped_in(const IValue &argument) {
    return argument.isNone() ? nullptr : at::functorch::maybeGetBatchedImpl(argument.toTensor());
}

// A call under torch.vmap; of nested ones under the innermost.
class MappedCall {
public:
    MappedCall(const Operator &op, const c10::OperatorHandle &handle, Stack given)
        : op(op), handle(handle), arguments(std::move(given)) {
        for (size_t i = 0; i < op.inputs.size(); i++) {
            if (const auto *mapped = mapped_in(arguments[i])) {
                level = std::max(level, mapped->level());
            }
        }
        for (size_t i = 0; i < op.inputs.size(); i++) {
            const auto *mapped = mapped_in(arguments[i]);
            if (mapped && mapped->level() == level) {
                tensors.push_back({mapped->value().movedim(mapped->bdim(), 0), true});
                count = tensors.back().tensor.sym_size(0);
            } else {
                tensors.push_back({arguments[i].isNone() ? Tensor() : arguments[i].toTensor(), false});
            }
        }
    }

    // Whether every tensor whose sizes begin with this letter, the batch, has one of the same size, and no other is
    // mapped.
    bool has_batch(int letter) const {
        std::optional<c10::SymInt> size;
        for (size_t i = 0; i < tensors.size(); i++) {
            const auto &[tensor, is_mapped] = tensors[i];
            const std::vector<Formula> &sizes = op.inputs[i];
            if (!tensor.defined() || sizes[0].symbol() != letter) {
                if (is_mapped) {
                    return false;
                }
                continue;
            }
            if (tensor.dim() != static_cast<int64_t>(sizes.size()) + is_mapped ||
                (size && *size != tensors[i].size(0))) {
                return false;
            }
            size = tensors[i].size(0);
        }
        return true;
    }

    // Nothing: it is refused, with other sizes than those of a sample.
    std::optional<Stack> at_once(int letter) const {
        try {
            return run([&](size_t i) {
                return op.inputs[i][0].symbol() == letter ? tensors[i].in_batch(count) : tensors[i].tensor;
            });
        } catch (const c10::Error &) {
            return std::nullopt;
        }
    }

    std::vector<Stack> one_by_one() const {
        const int64_t times = count.guard_int(__FILE__, __LINE__);
        TORCH_CHECK(times > 0, op.signature.name, ": torch.vmap should map over at least 1 but maps over 0");
        std::vector<Stack> made;
        for (int64_t sample = 0; sample < times; sample++) {
            made.push_back(run([&](size_t i) {
                return tensors[i].is_mapped ? tensors[i].tensor.select(0, sample) : tensors[i].tensor;
            }));
        }
        return made;
    }

    int64_t level = -1;
    c10::SymInt count = 0;

private:
    template<class F> Stack run(const F &tensor_of) const {
        Stack own = arguments;
        for (size_t i = 0; i < tensors.size(); i++) {
            own[i] = tensors[i].tensor.defined() ? IValue(tensor_of(i)) : IValue();
        }
        handle.callBoxed(own);
        return own;
    }

    const Operator &op;
    const c10::OperatorHandle &handle;
    const Stack arguments;
    std::vector<Mapped> tensors;
};

}  // namespace

Batched::Batched(const Operator &op, bool with_kept) : op(op), letter(op.inputs[op.order[0]][0].symbol()) {
    for (size_t i = 0; i < (with_kept ? op.outputs.size() : op.returned()); i++) {
        int at = -1;
        for (size_t d = 0; d < op.outputs[i].size(); d++) {
            if (letter >= 0 && op.outputs[i][d].symbol() == letter) {
                at = static_cast<int>(d);
            }
        }
        of_outputs.push_back(at);
    }
    has_batches = std::none_of(of_outputs.begin(), of_outputs.end(), [](int at) { return at < 0; });
}

void Batched::operator()(const c10::OperatorHandle &handle, c10::DispatchKeySet, Stack *stack) {
    const c10::impl::ExcludeDispatchKeyGuard below(c10::DispatchKey::FuncTorchBatched);
    const MappedCall call(op, handle, torch::jit::pop(*stack, handle.schema().arguments().size()));
    if (const auto whole = has_batches && call.has_batch(letter) ? call.at_once(letter) : std::nullopt) {
        for (size_t i = 0; i < whole->size(); i++) {
            const int at = of_outputs[i];
            const Tensor &made = (*whole)[i].toTensor();
            const Tensor apart = made.unflatten_symint(at, {call.count, made.sym_size(at) / call.count});
            stack->emplace_back(at::functorch::makeBatched(apart, at, call.level));
        }
        return;
    }
    const std::vector<Stack> samples = call.one_by_one();
    for (size_t i = 0; i < of_outputs.size(); i++) {
        std::vector<Tensor> made;
        for (const Stack &sample : samples) {
            made.push_back(sample[i].toTensor());
        }
        stack->emplace_back(at::functorch::makeBatched(at::stack(made), 0, call.level));
    }
}

}  // namespace upwell::bridge
