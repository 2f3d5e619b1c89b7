// Paired central difference convolution.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "pcdc_core.h"
#include "pcdc_spread.h"

namespace upwell::bridge::pcdc {
namespace {

using TensorVector = std::vector<Tensor>;
using Ints = std::vector<int64_t>;

std::vector<Offset> offsets(at::IntArrayRef rows, at::IntArrayRef columns) {
    std::vector<Offset> taps;
    for (size_t i = 0; i < rows.size(); i++) {
        taps.push_back({rows[i], columns[i]});
    }
    return taps;
}

void check_inputs(const char *op, at::TensorList in, int64_t groups, at::IntArrayRef rows, at::IntArrayRef columns) {
    TORCH_CHECK(in.size() == 5, op, ": inputs should be 5 tensors but are ", in.size());
    const Sizes query = check_map(op, "query", in[1]);
    const std::array<const char *, 5> names{"key", "query", "key_weight", "query_weight", "bias"};
    for (size_t i = 0; i < names.size(); i++) {
        check_alike(op, names[i], in[i], "query", in[1]);
    }
    TORCH_CHECK(in[3].dim() == 3, op, ": query_weight should have 3 dimensions, N,L,D/groups, but is ",
                format(in[3].sym_sizes()));
    const c10::SymInt L = in[3].sym_size(1);
    check_convolution(op, groups, query[1], L);
    TORCH_CHECK(rows.size() == columns.size() && !rows.empty(), op,
                ": tap_rows and tap_columns should have one offset a tap but have ", rows.size(), " and ",
                columns.size());
    const c10::SymInt E = query[1] / groups, taps(static_cast<int64_t>(rows.size()));
    check_shape(op, "key", in[0], query);
    check_shape(op, "key_weight", in[2], {query[0], L, E, taps});
    check_shape(op, "query_weight", in[3], {query[0], L, E});
    check_shape(op, "bias", in[4], {query[0], L});
}

// key, query N,D,H,W, key_weight N,L,D/G,taps, query_weight N,L,D/G, bias N,L -> N,L,H,W.
Tensor forward(at::TensorList in, int64_t groups, at::IntArrayRef tap_rows, at::IntArrayRef tap_columns) {
    check_inputs("pcdc_difference", in, groups, tap_rows, tap_columns);
    const Tensor &query = in[1];
    if (query.is_meta() || query.numel() == 0) {
        return at::empty_symint({query.sym_size(0), in[3].sym_size(1), query.sym_size(2), query.sym_size(3)},
                                query.options());
    }
    return difference_forward({in[0], query, in[2], in[3], in[4]}, groups, offsets(tap_rows, tap_columns));
}

TensorVector backward(const Tensor &d_output, at::TensorList in, int64_t groups, at::IntArrayRef tap_rows,
                      at::IntArrayRef tap_columns) {
    check_inputs("pcdc_difference_backward", in, groups, tap_rows, tap_columns);
    check_alike("pcdc_difference_backward", "d_output", d_output, "query", in[1]);
    check_shape("pcdc_difference_backward", "d_output", d_output,
                {in[1].sym_size(0), in[3].sym_size(1), in[1].sym_size(2), in[1].sym_size(3)});
    if (d_output.is_meta() || d_output.numel() == 0) {
        TensorVector result;
        for (const Tensor &input : in) {
            result.push_back(at::empty_symint(input.sym_sizes(), input.options()).zero_());
        }
        return result;
    }
    return difference_backward(d_output, {in[0], in[1], in[2], in[3], in[4]}, groups, offsets(tap_rows, tap_columns));
}

Tensor call_forward(at::TensorList inputs, int64_t groups, at::IntArrayRef rows, at::IntArrayRef columns) {
    static const auto op = find_torch_operator<decltype(forward)>("upwell::pcdc_difference");
    return op.call(inputs, groups, rows, columns);
}

TensorVector call_backward(const Tensor &d_output, at::TensorList inputs, int64_t groups, at::IntArrayRef rows,
                           at::IntArrayRef columns) {
    static const auto op = find_torch_operator<decltype(backward)>("upwell::pcdc_difference_backward");
    return op.call(d_output, inputs, groups, rows, columns);
}

struct Options {
    int64_t groups;
    Ints rows, columns;
};

class Difference : public torch::autograd::Function<Difference> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, at::TensorList inputs, const Options &o) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward(inputs.vec());
        context->saved_data["options"] = std::make_tuple(o.groups, o.rows, o.columns);
        return call_forward(inputs, o.groups, o.rows, o.columns);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        const variable_list saved = context->get_saved_variables();
        variable_list result(saved.size() + 1);
        if (gradients[0].defined()) {
            const auto [groups, rows, columns] = context->saved_data["options"].to<std::tuple<int64_t, Ints, Ints>>();
            const TensorVector d = call_backward(gradients[0], saved, groups, rows, columns);
            std::copy(d.begin(), d.end(), result.begin());
        }
        return result;
    }
};

Tensor differentiable(at::TensorList inputs, int64_t groups, at::IntArrayRef rows, at::IntArrayRef columns) {
    return Difference::apply(inputs, Options{groups, rows.vec(), columns.vec()});
}

void check(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias,
           int64_t groups) {
    const Sizes size = check_map("pcdc", "query", query);
    TORCH_SYM_CHECK(size[1].sym_ge(1), "pcdc: query should have at least one channel but is ", format(size));
    check_sizes("pcdc", "key", check_map("pcdc", "key", key), size);
    check_alike("pcdc", "key", key, "query", query);
    check_alike("pcdc", "weight", weight, "query", query);
    TORCH_CHECK(weight.dim() == 4, "pcdc: weight should have 4 dimensions, L,D/groups,K,K, but is ",
                format(weight.sym_sizes()));
    const c10::SymInt L = weight.sym_size(0), K = weight.sym_size(2);
    TORCH_CHECK(groups >= 1, "pcdc: groups should be at least 1 but is ", groups);
    TORCH_SYM_CHECK((size[1] % groups).sym_eq(0), "pcdc: groups should divide the ", size[1], " channels but is ",
                    groups);
    TORCH_SYM_CHECK((L % groups).sym_eq(0), "pcdc: groups should divide the ", L, " outputs of weight but is ", groups);
    TORCH_SYM_CHECK((K % 2).sym_eq(1), "pcdc: weight should have an odd kernel but is ", format(weight.sym_sizes()));
    check_sizes("pcdc", "weight", weight.sym_sizes().vec(), {L, size[1] / groups, K, K});
    check_elements("pcdc", "output", Sizes{size[0], L, size[2], size[3]});
    if (bias) {
        check_alike("pcdc", "bias", *bias, "query", query);
        TORCH_CHECK(bias->dim() == 1, "pcdc: bias should be ", format({L}), " but is ", format(bias->sym_sizes()));
        check_sizes("pcdc", "bias", bias->sym_sizes().vec(), {L});
    }
}

Tensor pcdc(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias,
            int64_t groups, at::IntArrayRef dilation) {
    check(key, query, weight, bias, groups);
    const auto fits = [](int64_t d) { return d >= 1 && d <= INT32_MAX; };
    TORCH_CHECK(dilation.size() == 2 && fits(dilation[0]) && fits(dilation[1]),
                "pcdc: dilation should be 2 integers in 1 .. 2147483647 but is ", dilation);
    const Spread spread = spread_taps(weight, {dilation[0], 1, dilation[1], 1});
    const c10::SymInt N = query.sym_size(0), L = weight.sym_size(0), E = weight.sym_size(1);
    const Tensor query_weight = -weight.sum({2, 3});
    const Tensor offset = bias ? *bias : at::zeros_symint({L}, query.options());
    return call_forward({key, query, spread.weight.unsqueeze(0).expand_symint({N, L, E, spread.weight.sym_size(2)}),
                         query_weight.unsqueeze(0).expand_symint({N, L, E}), offset.unsqueeze(0).expand_symint({N, L})},
                        groups, spread.rows, spread.columns);
}

void implement(torch::Library &m) {
    m.impl("pcdc_difference", in_float<forward>);
    m.impl("pcdc_difference_backward", in_float<backward>);
}

}  // namespace
}  // namespace upwell::bridge::pcdc

namespace upwell::ops {

Tensor pcdc(const Tensor &key, const Tensor &query, const Tensor &weight, const std::optional<Tensor> &bias,
            int64_t groups, at::IntArrayRef dilation) {
    static const auto op = bridge::find_torch_operator<decltype(pcdc)>("upwell::pcdc");
    return op.call(key, query, weight, bias, groups, dilation);
}

}  // namespace upwell::ops

namespace upwell::bridge::pcdc {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("pcdc(Tensor key, Tensor query, Tensor weight, Tensor? bias=None, int groups=1, int[2] dilation=1) -> Tensor",
          in_float<pcdc>);
    m.def("pcdc_difference(Tensor[] inputs, int groups, int[] tap_rows, int[] tap_columns) -> Tensor");
    m.def(
        "pcdc_difference_backward(Tensor d_output, Tensor[] inputs, int groups, int[] tap_rows, int[] tap_columns) -> "
        "Tensor[]");
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
    m.impl("pcdc_difference", differentiable);
    m.impl("pcdc_difference_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge::pcdc
