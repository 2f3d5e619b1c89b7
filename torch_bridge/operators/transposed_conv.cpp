// The transposed convolution in groups.
#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "../pad.h"
#include "../table.h"

namespace upwell::bridge {
namespace {

using at::IntArrayRef;
using c10::SymInt;
using MaybeTensor = std::optional<Tensor>;

// Floor of a / b for positive b.
int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

// What a kernel reads about an axis (generators/operators/transposed_conv.cpp).
struct AxisTables {
    Tensor elements, places;
    int64_t first;

    AxisTables(int64_t kernel, int64_t stride, int64_t padding, const Tensor &like) {
        first = -floor_div(kernel - 1 - padding, stride);
        const int64_t taps = floor_div(stride - 1 + padding, stride) - first + 1;
        std::vector<int> element(stride * taps, -1), place(2 * kernel);
        for (int64_t phase = 0; phase < stride; phase++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                const int64_t k = phase + padding - stride * (tap + first);
                if (k >= 0 && k < kernel) {
                    element[phase * taps + tap] = static_cast<int>(k);
                    place[k] = static_cast<int>(tap);
                    place[kernel + k] = static_cast<int>(phase);
                }
            }
        }
        elements = table(element, like).view({stride, taps});
        places = table(place, like).view({2, kernel});
    }
};

struct Options {
    std::array<int64_t, 2> stride, padding, output_padding;  // of rows, of columns
    int64_t groups;

    std::vector<int64_t> list() const {
        return {stride[0], stride[1], padding[0], padding[1], output_padding[0], output_padding[1], groups};
    }
    static Options from(const std::vector<int64_t> &v) { return {{v[0], v[1]}, {v[2], v[3]}, {v[4], v[5]}, v[6]}; }

    SymInt high(int axis, const SymInt &low, const SymInt &kernel) const {
        return (low - 1) * stride[axis] - 2 * padding[axis] + kernel + output_padding[axis];
    }
    bool by_two() const { return stride[0] == 2 && stride[1] == 2; }
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
    return {{stride[0], stride[1]}, {padding[0], padding[1]}, {output_padding[0], output_padding[1]}, groups};
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
        check_elements(op, "output", blocks(o));
    }

    // Of the output, rounded up to whole blocks.
    Sizes blocks(const Options &o) const {
        Sizes sizes = output;
        for (const int axis : {0, 1}) {
            sizes[2 + axis] = (sizes[2 + axis] + o.stride[axis] - 1) / o.stride[axis] * o.stride[axis];
        }
        return sizes;
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

// N,G*A,h,w as N,G,A,h,w.
Tensor grouped(const Tensor &map, int64_t groups) {
    return map.contiguous().view({map.size(0), groups, -1, map.size(2), map.size(3)});
}

// C,B,KH,KW as G,A,B,KH,KW.
Tensor grouped_weight(const Tensor &weight, int64_t groups) {
    return weight.contiguous().view({groups, -1, weight.size(1), weight.size(2), weight.size(3)});
}

// Whole blocks N,G*B,H,W as N,G,B,H/stride,stride,W/stride,stride.
Tensor by_phases(const Tensor &map, const Options &o) {
    return map.view({map.size(0), o.groups, map.size(1) / o.groups, map.size(2) / o.stride[0], o.stride[0],
                     map.size(3) / o.stride[1], o.stride[1]});
}

Tensor padded_to(const Tensor &map, c10::SymIntArrayRef sizes) {
    return pad_with_zeros(map, {sizes[2].expect_int() - map.size(2), sizes[3].expect_int() - map.size(3)});
}

// Calls run(first, count) for all samples, at most so many at a time.
template<class Run> void for_samples(int64_t samples, int64_t most, Run run) {
    for (int64_t first = 0; first < samples; first += most) {
        run(first, std::min(most, samples - first));
    }
}

constexpr int64_t most_samples = 65535;  // of a launch on a GPU

std::string kernel_name(const char *op, const Options &o) {
    return std::string(op) + (o.by_two() ? "_2" : "");
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
    if (input.is_meta()) {
        return at::empty_symint(s.output, input.options());
    }
    const Tensor output = at::empty_symint(s.blocks(o), input.options());
    if (output.numel() > 0 && input.numel() == 0) {  // a sum over no channels
        output.zero_();
        if (bias) {
            output.add_(bias->view({-1, 1, 1}));
        }
    } else if (output.numel() > 0) {
        const AxisTables x(weight.size(3), o.stride[1], o.padding[1], input);
        const AxisTables y(weight.size(2), o.stride[0], o.padding[0], input);
        const Tensor offset = bias ? bias->contiguous() : at::zeros({groups * weight.size(1)}, input.options());
        for_samples(input.size(0), most_samples, [&](int64_t first, int64_t count) {
            run_kernel_on(kernel_name(op, o), input,
                          {grouped(input.narrow(0, first, count), groups), grouped_weight(weight, groups),
                           offset.view({groups, -1}), x.elements, y.elements, x.first, y.first,
                           by_phases(output.narrow(0, first, count), o)});
        });
    }
    const auto H = s.output[2].expect_int(), W = s.output[3].expect_int();
    return output.narrow(2, 0, H).narrow(3, 0, W).contiguous();
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
    if (result.is_meta() || result.numel() == 0) {
        return result;
    }
    if (d_output.numel() == 0) {  // a sum over no channels
        return result.zero_();
    }
    const AxisTables x(weight.size(3), o.stride[1], o.padding[1], result);
    const AxisTables y(weight.size(2), o.stride[0], o.padding[0], result);
    const Tensor padded = padded_to(d_output, s.blocks(o));
    for_samples(result.size(0), most_samples, [&](int64_t first, int64_t count) {
        run_kernel_on(kernel_name(op, o), result,
                      {by_phases(padded.narrow(0, first, count), o), grouped_weight(weight, groups), x.elements,
                       y.elements, x.first, y.first, grouped(result.narrow(0, first, count), groups)});
    });
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
    if (result.is_meta() || result.numel() == 0) {
        return result;
    }
    if (input.numel() == 0) {
        return result.zero_();
    }
    const AxisTables x(result.size(3), o.stride[1], o.padding[1], result);
    const AxisTables y(result.size(2), o.stride[0], o.padding[0], result);
    const Tensor padded = padded_to(d_output, s.blocks(o));
    // A kernel holds partial sums of every sample, on a GPU for 32 columns of every strip of 32 rows of blocks.
    constexpr int64_t lanes = 32, strip_rows = 32, most_sums = 1 << 26;
    const int64_t strips = (padded.size(2) / o.stride[0] + strip_rows - 1) / strip_rows;
    const int64_t phases = x.elements.numel() * y.elements.numel() * result.size(0) * result.size(1);
    const int64_t most =
        std::clamp<int64_t>(most_sums / (lanes * phases * strips), 1, std::max<int64_t>(most_samples / strips, 1));
    for_samples(input.size(0), most, [&](int64_t first, int64_t count) {
        const Tensor part = first == 0 ? result : at::empty_like(result);
        run_kernel_on(kernel_name(op, o), result,
                      {grouped(input.narrow(0, first, count), groups), by_phases(padded.narrow(0, first, count), o),
                       x.elements, y.elements, x.first, y.first, x.places, y.places, grouped_weight(part, groups)});
        if (first > 0) {
            result.add_(part);
        }
    });
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
            result[2] = gradients[0].sum({0, 2, 3});
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

void implement(torch::Library &m) {
    m.impl("transposed_conv", in_float<forward>);
    m.impl("transposed_conv_d_input", in_float<d_input>);
    m.impl("transposed_conv_d_weight", in_float<d_weight>);
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

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("transposed_conv(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, "
          "int[2] output_padding=0, int groups=1) -> Tensor");
    m.def("transposed_conv_d_input(Tensor d_output, Tensor weight, SymInt h, SymInt w, int[2] stride=1, "
          "int[2] padding=0, int[2] output_padding=0, int groups=1) -> Tensor");
    m.def("transposed_conv_d_weight(Tensor d_output, Tensor input, SymInt kernel_height, SymInt kernel_width, "
          "int[2] stride=1, int[2] padding=0, int[2] output_padding=0, int groups=1) -> Tensor");
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
}

}  // namespace upwell::bridge
