// The transposed convolution in groups.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "runtime/operators/transposed_conv.h"

namespace upwell::bridge {
namespace {

using at::IntArrayRef;
using c10::SymInt;
using MaybeTensor = std::optional<Tensor>;

struct Options : TransposedConvOptions {
    std::vector<int64_t> list() const {
        return {stride[0], stride[1], padding[0], padding[1], output_padding[0], output_padding[1], groups};
    }
    static Options from(const std::vector<int64_t> &v) { return {{{v[0], v[1]}, {v[2], v[3]}, {v[4], v[5]}, v[6]}}; }
};

Options check_options(const char *op, IntArrayRef stride, IntArrayRef padding, IntArrayRef output_padding,
                      int64_t groups) {
    const auto check = [&](const char *name, IntArrayRef given, int64_t least) {
        const auto fits = [&](int64_t value) { return value >= least && value < INT32_MAX / 4; };
        TORCH_CHECK(given.size() == 2 && fits(given[0]) && fits(given[1]), op, ": ", name, " should be 2 integers in ",
                    least, " .. ", INT32_MAX / 4 - 1, " but is ", given);
    };
    check("stride", stride, 1);
    check("padding", padding, 0);
    check("output_padding", output_padding, 0);
    TORCH_CHECK(output_padding[0] < stride[0] && output_padding[1] < stride[1], op,
                ": output_padding should be less than the stride ", stride, " but is ", output_padding);
    TORCH_CHECK(groups >= 1, op, ": groups should be at least 1 but is ", groups);
    return Options::from({stride[0], stride[1], padding[0], padding[1], output_padding[0], output_padding[1], groups});
}

// Sizes of the three maps of a call.
struct Shapes {
    Sizes input, output, weight;

    // Throws unless a convolution with these channels and sizes exists.
    void check(const char *op, const Options &o) const {
        TORCH_SYM_CHECK((input[1] % o.groups).sym_eq(0), op, ": groups should divide the ", input[1],
                        " channels of the input but is ", o.groups);
        for (const int axis : {0, 1}) {
            TORCH_SYM_CHECK(output[2 + axis].sym_ge(1), op, ": output should have a height and width of at least 1",
                            " but is ", format(output), "; input is ", format(input), ", weight ", format(weight));
            TORCH_SYM_CHECK(output[2 + axis].sym_eq(o.high(axis, input[2 + axis], weight[2 + axis])), op,
                            ": d_output should have the size that input ", format(input), " and weight ",
                            format(weight), " give but is ", format(output));
        }
        check_elements(op, "input", input);
        check_elements(op, "weight", weight);
        check_elements(op, "output", Sizes{output[0], output[1], o.whole(0, output[2]), o.whole(1, output[3])});
    }
};

// input: [N, C]; weight: [C, channels of a group of the output, KH, KW].
Sizes check_weight(const char *op, const Tensor &weight, const char *first, const Tensor &like) {
    check_alike(op, "weight", weight, first, like);
    TORCH_CHECK(weight.dim() == 4, op, ": weight should have 4 dimensions, C,D/groups,KH,KW, but is ",
                format(weight.sym_sizes()));
    for (const int d : {2, 3}) {
        TORCH_SYM_CHECK(weight.sym_size(d).sym_ge(1), op, ": weight should have a kernel of at least 1x1 but is ",
                        format(weight.sym_sizes()));
    }
    return weight.sym_sizes().vec();
}

void check_bias(const char *op, const MaybeTensor &bias, const SymInt &channels, const Tensor &like) {
    if (bias) {
        check_alike(op, "bias", *bias, "input", like);
        check_shape(op, "bias", *bias, {channels});
    }
}

Tensor forward(const Tensor &input, const Tensor &weight, const MaybeTensor &bias, IntArrayRef stride,
               IntArrayRef padding, IntArrayRef output_padding, int64_t groups) {
    constexpr auto op = "transposed_conv";
    const Options o = check_options(op, stride, padding, output_padding, groups);
    Shapes s{check_map(op, "input", input), {}, check_weight(op, weight, "input", input)};
    check_sizes(op, "weight", s.weight, {s.input[1], s.weight[1], s.weight[2], s.weight[3]});
    const SymInt channels = s.weight[1] * groups;
    s.output = {s.input[0], channels, o.high(0, s.input[2], s.weight[2]), o.high(1, s.input[3], s.weight[3])};
    s.check(op, o);
    check_bias(op, bias, channels, input);
    const Tensor output = at::empty_symint(s.output, input.options());
    if (!output.is_meta() && output.numel() > 0) {
        const Tensor low = input.contiguous(), kernel = weight.contiguous(),
                     offset = bias ? bias->contiguous() : Tensor();
        on_queue(input, [&](const Queue *queue) {
            upwell::transposed_conv(o, view(low), view(kernel), bias ? view(offset) : upwell::Tensor{}, view(output),
                                    queue);
        });
    }
    return output;
}

Tensor d_input(const Tensor &d_output, const Tensor &weight, SymInt h, SymInt w, IntArrayRef stride,
               IntArrayRef padding, IntArrayRef output_padding, int64_t groups) {
    constexpr auto op = "transposed_conv_d_input";
    const Options o = check_options(op, stride, padding, output_padding, groups);
    Shapes s{{}, check_map(op, "d_output", d_output), check_weight(op, weight, "d_output", d_output)};
    check_size(op, "h, w", Sizes{h, w});
    s.input = {s.output[0], s.weight[0], h, w};
    check_sizes(op, "d_output", s.output, {s.output[0], s.weight[1] * groups, s.output[2], s.output[3]});
    s.check(op, o);
    const Tensor result = at::empty_symint(s.input, d_output.options());
    if (!result.is_meta() && result.numel() > 0) {
        const Tensor high = d_output.contiguous(), kernel = weight.contiguous();
        on_queue(result, [&](const Queue *queue) {
            upwell::transposed_conv_d_input(o, view(high), view(kernel), view(result), queue);
        });
    }
    return result;
}

Tensor d_weight(const Tensor &d_output, const Tensor &input, SymInt kernel_height, SymInt kernel_width,
                IntArrayRef stride, IntArrayRef padding, IntArrayRef output_padding, int64_t groups) {
    constexpr auto op = "transposed_conv_d_weight";
    const Options o = check_options(op, stride, padding, output_padding, groups);
    Shapes s{check_map(op, "input", input), check_map(op, "d_output", d_output), {}};
    check_alike(op, "input", input, "d_output", d_output);
    check_size(op, "kernel_height, kernel_width", Sizes{kernel_height, kernel_width});
    TORCH_SYM_CHECK((s.output[1] % groups).sym_eq(0), op, ": groups should divide the ", s.output[1],
                    " channels of d_output but is ", groups);
    check_sizes(op, "d_output", s.output, {s.input[0], s.output[1], s.output[2], s.output[3]});
    s.weight = {s.input[1], s.output[1] / groups, kernel_height, kernel_width};
    s.check(op, o);
    const Tensor result = at::empty_symint(s.weight, input.options());
    if (!result.is_meta() && result.numel() > 0) {
        const Tensor high = d_output.contiguous(), low = input.contiguous();
        on_queue(result, [&](const Queue *queue) {
            upwell::transposed_conv_d_weight(o, view(high), view(low), view(result), queue);
        });
    }
    return result;
}

Tensor d_bias(const Tensor &d_output) {
    const Sizes sizes = check_map("transposed_conv_d_bias", "d_output", d_output);
    const Tensor result = at::empty_symint({sizes[1]}, d_output.options());
    if (!result.is_meta() && result.numel() > 0) {
        const Tensor high = d_output.contiguous();
        on_queue(result, [&](const Queue *queue) { upwell::transposed_conv_d_bias(view(high), view(result), queue); });
    }
    return result;
}

// The three directions with their options kept, each linear in two tensors, and so each a gradient of the others.
struct Calls {
    Options o;

    Tensor forward(const Tensor &input, const Tensor &weight) const {
        return ops::transposed_conv(input, weight, {}, o.stride, o.padding, o.output_padding, o.groups);
    }
    Tensor d_input(const Tensor &d_output, const Tensor &weight, const Tensor &input) const {
        return ops::transposed_conv_d_input(d_output, weight, input.sym_size(2), input.sym_size(3), o.stride, o.padding,
                                            o.output_padding, o.groups);
    }
    Tensor d_weight(const Tensor &d_output, const Tensor &input, const Tensor &weight) const {
        return ops::transposed_conv_d_weight(d_output, input, weight.sym_size(2), weight.sym_size(3), o.stride,
                                             o.padding, o.output_padding, o.groups);
    }
};

Calls saved_calls(AutogradContext *context) {
    return {Options::from(context->saved_data["options"].toIntVector())};
}

class Forward : public torch::autograd::Function<Forward> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &input, const Tensor &weight, const MaybeTensor &bias,
                          const Options &o) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({input, weight});
        context->saved_data["options"] = o.list();
        context->saved_data["has_bias"] = bias.has_value();
        return ops::transposed_conv(input, weight, bias, o.stride, o.padding, o.output_padding, o.groups);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(4);
        if (!gradients[0].defined()) {
            return result;
        }
        const variable_list saved = context->get_saved_variables();
        const Calls calls = saved_calls(context);
        if (context->needs_input_grad(0)) {
            result[0] = calls.d_input(gradients[0], saved[1], saved[0]);
        }
        if (context->needs_input_grad(1)) {
            result[1] = calls.d_weight(gradients[0], saved[0], saved[1]);
        }
        if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)) {
            result[2] = ops::transposed_conv_d_bias(gradients[0]);
        }
        return result;
    }
};

class DInput : public torch::autograd::Function<DInput> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &d_output, const Tensor &weight, SymInt h, SymInt w,
                          const Options &o) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({d_output, weight});
        context->saved_data["options"] = o.list();
        return ops::transposed_conv_d_input(d_output, weight, std::move(h), std::move(w), o.stride, o.padding,
                                            o.output_padding, o.groups);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(5);
        if (!gradients[0].defined()) {
            return result;
        }
        const variable_list saved = context->get_saved_variables();
        const Calls calls = saved_calls(context);
        if (context->needs_input_grad(0)) {
            result[0] = calls.forward(gradients[0], saved[1]);
        }
        if (context->needs_input_grad(1)) {
            result[1] = calls.d_weight(saved[0], gradients[0], saved[1]);
        }
        return result;
    }
};

class DWeight : public torch::autograd::Function<DWeight> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &d_output, const Tensor &input, SymInt kernel_height,
                          SymInt kernel_width, const Options &o) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({d_output, input});
        context->saved_data["options"] = o.list();
        return ops::transposed_conv_d_weight(d_output, input, std::move(kernel_height), std::move(kernel_width),
                                             o.stride, o.padding, o.output_padding, o.groups);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(5);
        if (!gradients[0].defined()) {
            return result;
        }
        const variable_list saved = context->get_saved_variables();
        const Calls calls = saved_calls(context);
        if (context->needs_input_grad(0)) {
            result[0] = calls.forward(saved[1], gradients[0]);
        }
        if (context->needs_input_grad(1)) {
            result[1] = calls.d_input(saved[0], gradients[0], saved[1]);
        }
        return result;
    }
};

class DBias : public torch::autograd::Function<DBias> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &d_output) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->saved_data["sizes"] = d_output.sym_sizes();
        return ops::transposed_conv_d_bias(d_output);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        if (!gradients[0].defined()) {
            return {Tensor()};
        }
        return {gradients[0].view({-1, 1, 1}).expand_symint(context->saved_data["sizes"].toSymIntVector())};
    }
};

Tensor differentiable(const Tensor &input, const Tensor &weight, const MaybeTensor &bias, IntArrayRef stride,
                      IntArrayRef padding, IntArrayRef output_padding, int64_t groups) {
    return Forward::apply(input, weight, bias,
                          check_options("transposed_conv", stride, padding, output_padding, groups));
}

Tensor differentiable_d_input(const Tensor &d_output, const Tensor &weight, SymInt h, SymInt w, IntArrayRef stride,
                              IntArrayRef padding, IntArrayRef output_padding, int64_t groups) {
    return DInput::apply(d_output, weight, std::move(h), std::move(w),
                         check_options("transposed_conv_d_input", stride, padding, output_padding, groups));
}

Tensor differentiable_d_weight(const Tensor &d_output, const Tensor &input, SymInt kernel_height, SymInt kernel_width,
                               IntArrayRef stride, IntArrayRef padding, IntArrayRef output_padding, int64_t groups) {
    return DWeight::apply(d_output, input, std::move(kernel_height), std::move(kernel_width),
                          check_options("transposed_conv_d_weight", stride, padding, output_padding, groups));
}

Tensor differentiable_d_bias(const Tensor &d_output) {
    return DBias::apply(d_output);
}

void implement(torch::Library &m) {
    m.impl("transposed_conv", in_float<forward>);
    m.impl("transposed_conv_d_input", in_float<d_input>);
    m.impl("transposed_conv_d_weight", in_float<d_weight>);
    m.impl("transposed_conv_d_bias", in_float<d_bias>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

using at::IntArrayRef;

Tensor transposed_conv(const Tensor &input, const Tensor &weight, const std::optional<Tensor> &bias, IntArrayRef stride,
                       IntArrayRef padding, IntArrayRef output_padding, int64_t groups) {
    static const auto op = bridge::find_torch_operator<decltype(transposed_conv)>("upwell::transposed_conv");
    return op.call(input, weight, bias, stride, padding, output_padding, groups);
}

Tensor transposed_conv_d_input(const Tensor &d_output, const Tensor &weight, c10::SymInt h, c10::SymInt w,
                               IntArrayRef stride, IntArrayRef padding, IntArrayRef output_padding, int64_t groups) {
    static const auto op =
        bridge::find_torch_operator<decltype(transposed_conv_d_input)>("upwell::transposed_conv_d_input");
    return op.call(d_output, weight, std::move(h), std::move(w), stride, padding, output_padding, groups);
}

Tensor transposed_conv_d_weight(const Tensor &d_output, const Tensor &input, c10::SymInt kernel_height,
                                c10::SymInt kernel_width, IntArrayRef stride, IntArrayRef padding,
                                IntArrayRef output_padding, int64_t groups) {
    static const auto op =
        bridge::find_torch_operator<decltype(transposed_conv_d_weight)>("upwell::transposed_conv_d_weight");
    return op.call(d_output, input, std::move(kernel_height), std::move(kernel_width), stride, padding, output_padding,
                   groups);
}

Tensor transposed_conv_d_bias(const Tensor &d_output) {
    static const auto op =
        bridge::find_torch_operator<decltype(transposed_conv_d_bias)>("upwell::transposed_conv_d_bias");
    return op.call(d_output);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("transposed_conv(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, "
          "int[2] output_padding=0, int groups=1) -> Tensor");
    m.def("transposed_conv_d_input(Tensor d_output, Tensor weight, SymInt h, SymInt w, int[2] stride=1, "
          "int[2] padding=0, int[2] output_padding=0, int groups=1) -> Tensor");
    m.def("transposed_conv_d_weight(Tensor d_output, Tensor input, SymInt kernel_height, SymInt kernel_width, "
          "int[2] stride=1, int[2] padding=0, int[2] output_padding=0, int groups=1) -> Tensor");
    m.def("transposed_conv_d_bias(Tensor d_output) -> Tensor");
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
    m.impl("transposed_conv", differentiable);
    m.impl("transposed_conv_d_input", differentiable_d_input);
    m.impl("transposed_conv_d_weight", differentiable_d_weight);
    m.impl("transposed_conv_d_bias", differentiable_d_bias);
}

}  // namespace upwell::bridge
