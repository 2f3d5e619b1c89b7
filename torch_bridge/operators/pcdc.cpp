// Paired central difference convolution.
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/pcdc.h"

namespace upwell::bridge {
namespace {

using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;

void check(const std::string &op, const Tensor &key, const Tensor &query, const Tensor &weight,
           const std::optional<Tensor> &bias, int64_t groups, at::IntArrayRef dilation) {
    const Sizes size = check_map(op, "query", query);
    TORCH_SYM_CHECK(size[1].sym_ge(1), op, ": query should have at least one channel but is ", format(size));
    check_sizes(op, "key", check_map(op, "key", key), size);
    check_alike(op, "key", key, "query", query);
    check_alike(op, "weight", weight, "query", query);
    TORCH_CHECK(weight.dim() == 4, op, ": weight should have 4 dimensions, L,D/groups,K,K, but is ",
                format(weight.sym_sizes()));
    const c10::SymInt L = weight.sym_size(0), K = weight.sym_size(2);
    TORCH_CHECK(groups >= 1, op, ": groups should be at least 1 but is ", groups);
    TORCH_SYM_CHECK((size[1] % groups).sym_eq(0), op, ": groups should divide the ", size[1], " channels but is ",
                    groups);
    TORCH_SYM_CHECK((L % groups).sym_eq(0), op, ": groups should divide the ", L, " outputs of weight but is ", groups);
    TORCH_SYM_CHECK((K % 2).sym_eq(1), op, ": weight should have an odd kernel but is ", format(weight.sym_sizes()));
    check_sizes(op, "weight", weight.sym_sizes().vec(), {L, size[1] / groups, K, K});
    check_elements(op, "output", Sizes{size[0], L, size[2], size[3]});
    if (bias) {
        check_alike(op, "bias", *bias, "query", query);
        TORCH_CHECK(bias->dim() == 1, op, ": bias should be ", format({L}), " but is ", format(bias->sym_sizes()));
        check_sizes(op, "bias", bias->sym_sizes().vec(), {L});
    }
    const auto fits = [](int64_t d) { return d >= 1 && d <= INT32_MAX; };
    TORCH_CHECK(dilation.size() == 2 && fits(dilation[0]) && fits(dilation[1]), op,
                ": dilation should be 2 integers in 1 .. 2147483647 but is ", dilation);
}

Sizes output_sizes(const Tensor &query, const Tensor &weight) {
    return {query.sym_size(0), weight.sym_size(0), query.sym_size(2), query.sym_size(3)};
}

Tensor forward(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias,
               int64_t groups, at::IntArrayRef dilation) {
    check("pcdc", key, query, weight, bias, groups, dilation);
    const Tensor output = at::empty_symint(output_sizes(query, weight), query.options());
    if (!output.is_meta() && output.numel() > 0) {
        const Tensor k = key.contiguous(), q = query.contiguous(), w = weight.contiguous(),
                     b = bias ? bias->contiguous() : Tensor();
        on_queue(output, [&](const Queue *queue) {
            Host host(view(output).dtype, queue);
            pcdc::difference(host, {view(k), view(q), view(w), bias ? view(b) : upwell::Tensor()}, groups,
                             {dilation[0], 1, dilation[1], 1}, view(output));
        });
    }
    return output;
}

// Gradients of key, query, weight and bias.
Four backward(const Tensor &d_output, const Tensor &key, const Tensor &query, const Tensor &weight, int64_t groups,
              at::IntArrayRef dilation) {
    const char *op = "pcdc_backward";
    check(op, key, query, weight, {}, groups, dilation);
    check_alike(op, "d_output", d_output, "query", query);
    check_shape(op, "d_output", d_output, output_sizes(query, weight));
    const auto like = [](const Tensor &tensor) { return at::empty_symint(tensor.sym_sizes(), tensor.options()); };
    const Four d{like(key), like(query), like(weight), at::empty_symint({weight.sym_size(0)}, weight.options())};
    const auto &[d_key, d_query, d_weight, d_bias] = d;
    if (d_output.is_meta()) {
        return d;
    }
    if (d_output.numel() == 0) {
        for (const Tensor *tensor : {&d_key, &d_query, &d_weight, &d_bias}) {
            tensor->zero_();
        }
        return d;
    }
    const Tensor g = d_output.contiguous(), k = key.contiguous(), q = query.contiguous(), w = weight.contiguous();
    on_queue(g, [&](const Queue *queue) {
        Host host(view(g).dtype, queue);
        pcdc::difference_adjoint(host, view(g), {view(k), view(q), view(w), {}}, groups,
                                 {dilation[0], 1, dilation[1], 1},
                                 {view(d_key), view(d_query), view(d_weight), view(d_bias)});
    });
    return d;
}

Four call_backward(const Tensor &d_output, const Tensor &key, const Tensor &query, const Tensor &weight, int64_t groups,
                   at::IntArrayRef dilation) {
    static const auto op = find_torch_operator<decltype(backward)>("upwell::pcdc_backward");
    return op.call(d_output, key, query, weight, groups, dilation);
}

class Pcdc : public torch::autograd::Function<Pcdc> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &key, const Tensor &query, const Tensor &weight,
                          const std::optional<Tensor> &bias, int64_t groups, at::IntArrayRef dilation) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({key, query, weight});
        context->saved_data["options"] = std::make_tuple(groups, dilation.vec(), bias.has_value());
        return ops::pcdc(key, query, weight, bias, groups, dilation);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(6);
        if (gradients[0].defined()) {
            const variable_list saved = context->get_saved_variables();
            const auto [groups, dilation, has_bias] =
                context->saved_data["options"].to<std::tuple<int64_t, std::vector<int64_t>, bool>>();
            std::tie(result[0], result[1], result[2], result[3]) =
                call_backward(gradients[0], saved[0], saved[1], saved[2], groups, dilation);
            if (!has_bias) {
                result[3] = Tensor();
            }
        }
        return result;
    }
};

Tensor differentiable(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias,
                      int64_t groups, at::IntArrayRef dilation) {
    return Pcdc::apply(key, query, weight, bias, groups, dilation);
}

void implement(torch::Library &m) {
    m.impl("pcdc", in_float<forward>);
    m.impl("pcdc_backward", in_float<backward>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor pcdc(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias,
            int64_t groups, at::IntArrayRef dilation) {
    static const auto op = bridge::find_torch_operator<decltype(pcdc)>("upwell::pcdc");
    return op.call(key, query, weight, bias, groups, dilation);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def(
        "pcdc(Tensor key, Tensor query, Tensor weight, Tensor? bias=None, int groups=1, int[2] dilation=1) -> Tensor");
    m.def("pcdc_backward(Tensor d_output, Tensor key, Tensor query, Tensor weight, int groups, int[2] dilation) -> "
          "(Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(upwell, CPU, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, CUDA, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, Meta, m) {
    implement(m);
}
TORCH_LIBRARY_IMPL(upwell, Autograd, m) {
    m.impl("pcdc", differentiable);
    m.impl("pcdc_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
