// A node of torch's graph for an operator. What torch::autograd::Function::apply does, but under torch.func and in
// forward mode too: it refuses C++ there, whose kernels might not go through the dispatcher.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/autograd/custom_function.h>

namespace upwell::bridge {

// Since torch 2.13 nodes count who holds them, before they left that to std::shared_ptr.
template<class Node> constexpr bool counts_itself = std::is_base_of_v<c10::intrusive_ptr_target, Node>;

template<class Node>
using Held = std::conditional_t<counts_itself<Node>, c10::intrusive_ptr<torch::autograd::Node>,
                                std::shared_ptr<torch::autograd::Node>>;

// Since torch 2.14 hooks are told of nodes that are made.
template<class Pointer> constexpr bool is_announced = requires(const Pointer &node) {
    fire_node_creation_hooks(node);
};

template<class Node> auto new_node() {
    if constexpr (counts_itself<Node>) {
        return c10::make_intrusive<Node>();
    } else {
        return std::shared_ptr<Node>(new Node, [](Node *node) { deleteNode(node); });
    }
}

// The outputs as results of a node whose backward pass is Derivative::backward(context, gradients), if it is recorded.
// prepare(context) comes before that; tangents: of the outputs, of inputs and theirs.
template<class Derivative, class Prepare>
std::vector<at::Tensor> attached(const std::vector<at::Tensor> &inputs, const std::vector<at::Tensor> &outputs,
                                 bool is_recorded, const Prepare &prepare, const torch::autograd::_jvp_fn_t &tangents) {
    using Node = torch::autograd::CppNode<Derivative>;
    const auto node = new_node<Node>();
    node->is_variable_input_.assign(inputs.size(), true);
    node->set_ctx_grad_fn(node);
    node->set_next_edges(is_recorded ? torch::autograd::collect_next_edges(inputs) : torch::autograd::edge_list());
    for (const at::Tensor &input : inputs) {
        node->input_info_.emplace_back(input);
    }
    prepare(&node->ctx_);
    const std::vector<std::optional<at::Tensor>> raw(outputs.begin(), outputs.end());
    const auto wrap = [&](auto &...holder) {
        return torch::autograd::_wrap_outputs(
            inputs, node->ctx_.get_non_differentiable(), node->ctx_.get_and_bump_dirty(), raw,
            is_recorded ? node : decltype(new_node<Node>())(), tangents, {},
            [](const at::Tensor &tensor) { return tensor.view_as(tensor); }, false, holder...);
    };
    std::vector<at::Tensor> results;
    const auto finish = [&](const std::vector<std::optional<at::Tensor>> &wrapped) {
        for (const std::optional<at::Tensor> &output : wrapped) {
            results.push_back(*output);
            if (is_recorded) {
                node->output_info_.emplace_back(*output);
            }
        }
        if (is_recorded) {
            node->save_variables_to_ctx();
        }
    };
    if constexpr (is_announced<Held<Node>>) {
        Held<Node> holder;
        finish(wrap(holder));
        if (holder) {
            fire_node_creation_hooks(holder);
        }
    } else {
        finish(wrap());
    }
    return results;
}

}  // namespace upwell::bridge
