// The guided filter.
#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <string_view>

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "../autograd.h"
#include "../dispatch.h"
#include "../in_float.h"
#include "../kernel.h"
#include "../mirror.h"
#include "runtime/operators/guided_filter.h"

namespace upwell::bridge {
namespace {

using Pair = std::tuple<Tensor, Tensor>;

// Of a mirrored line: its pixels read what they read without a border, where their edge sample has no next one.
Reads mirrored(const Reads &reads, const Mirror &mirror, int64_t samples, int64_t more) {
    Reads result{std::vector<int>(mirror.places()), std::vector<double>(mirror.places())};
    const int64_t pixels = static_cast<int64_t>(reads.lower.size());
    for (int64_t p = 0; p < pixels; p++) {
        result.lower[mirror.place(p)] = static_cast<int>(reads.lower[p] + more);
        result.fraction[mirror.place(p)] = reads.lower[p] < samples - 1 ? reads.fraction[p] : 0;
    }
    // What the other places read is of no account, but may not decrease.
    std::partial_sum(result.lower.begin(), result.lower.end(), result.lower.begin(),
                     [](int before, int lower) { return std::max(before, lower); });
    return result;
}

using Axis = GuidedFilterAxis;

// The filter as its arguments describe it.
struct Options : GuidedFilterOptions {
    std::string_view border;

    bool has_mirrors() const { return border != "inside" && box() > 0; }
};

void check(const char *op, const Tensor &guide, const Tensor &input, const Options &options) {
    const auto &[radius, eps, scale, centred] = static_cast<const GuidedFilterOptions &>(options);
    const std::string_view border = options.border;
    const Sizes high = check_map(op, "guide", guide), low = check_map(op, "input", input);
    check_alike(op, "input", input, "guide", guide);
    check_sizes(op, "input", low, {high[0], high[1], low[2], low[3]});
    TORCH_CHECK(radius >= 0 && radius < INT32_MAX / 4, op, ": radius should be in 0 .. ", INT32_MAX / 4 - 1, " but is ",
                radius);
    TORCH_CHECK(scale >= 1 && scale < INT32_MAX, op, ": scale should be in 1 .. ", INT32_MAX - 1, " but is ", scale);
    TORCH_CHECK(std::isfinite(eps) && eps >= 0, op, ": eps should be at least 0 and finite but is ", eps);
    TORCH_CHECK(border == "inside" || border == "reflect" || border == "symmetric", op,
                ": border should be 'inside', 'reflect' or 'symmetric' but is '", border, "'");
}

Tensor filter(const Tensor &guide, const Tensor &input, const Axis &x, const Axis &y, const Options &options) {
    const Tensor output = at::empty(guide.sizes(), guide.options()), high = guide.contiguous(), low = input.contiguous();
    on_queue(guide, [&](const Queue *queue) {
        upwell::guided_filter(options, x, y, view(high), view(low), view(output), queue);
    });
    return output;
}

Pair filter_backward(const Tensor &d_output, const Tensor &guide, const Tensor &input, const Axis &x, const Axis &y,
                     const Options &options) {
    const Tensor d_guide = at::empty(guide.sizes(), guide.options()), d_input = at::empty(input.sizes(), input.options());
    const Tensor gradient = d_output.contiguous(), high = guide.contiguous(), low = input.contiguous();
    on_queue(guide, [&](const Queue *queue) {
        guided_filter_adjoint(options, x, y, view(high), view(low), view(gradient), view(d_guide), view(d_input), queue);
    });
    return {d_guide, d_input};
}

// The two axes of a filter without a border.
std::array<Axis, 2> axes(const Options &options, const Tensor &guide, const Tensor &input) {
    return {guided_filter_axis(options, input.size(3), guide.size(3)),
            guided_filter_axis(options, input.size(2), guide.size(2))};
}

// The filter with mirrors at the ends of the lines of samples: those of both maps go on for two boxes beyond each, as
// far as the mean over a box of what was fitted in boxes reaches; the result is cut out.
class MirroredFilter {
public:
    MirroredFilter(const char *op, const Tensor &guide, const Tensor &input, const Options &options)
        : options_(options), low_{input.size(2), input.size(3)}, high_{guide.size(2), guide.size(3)},
          is_low_res_(low_ != high_) {
        const auto places = [&](int64_t pixels) { return options.scale * (options.samples(pixels) + 2 * more()); };
        check_elements(op, "guide with its border",
                       std::vector<c10::SymInt>{guide.size(0), guide.size(1), places(high_[0]), places(high_[1])});
    }

    Tensor forward(const Tensor &guide, const Tensor &input) const {
        const Tensor output = filter(extend(guide), extend(full(input)), axis(1), axis(0), options_);
        return each_axis(&Mirror::crop, output);
    }

    Pair backward(const Tensor &d_output, const Tensor &guide, const Tensor &input) const {
        const auto [d_guide, d_input] = filter_backward(each_axis(&Mirror::embed, d_output), extend(guide),
                                                        extend(full(input)), axis(1), axis(0), options_);
        const Tensor d_full = each_axis(&Mirror::fold, d_input);
        return {each_axis(&Mirror::fold, d_guide),
                is_low_res_ ? resample("bilinear_d_value", d_full, low_) : d_full};
    }

private:
    int64_t more() const { return 2 * options_.box(); }

    Mirror mirror(int64_t pixels) const {
        return {pixels, options_.samples(pixels), options_.scale, more(), options_.border == "symmetric"};
    }

    // Of rows (0) or columns (1).
    Axis axis(int which) const {
        const int64_t pixels = high_[which], samples = options_.samples(pixels);
        const Mirror line = mirror(pixels);
        return {read_bilinear(line.places(), line.places(), samples + 2 * more(), options_.scale),
                mirrored(options_.back(pixels), line, samples, more())};
    }

    using Step = Tensor (Mirror::*)(const Tensor &, int64_t) const;
    Tensor each_axis(Step step, const Tensor &x) const {
        const Mirror rows = mirror(high_[0]), columns = mirror(high_[1]);
        return (columns.*step)((rows.*step)(x, 2), 3);
    }
    Tensor extend(const Tensor &x) const { return each_axis(&Mirror::extend, x); }

    Tensor full(const Tensor &input) const {
        return is_low_res_ ? resample("bilinear", input, high_) : input;
    }

    Options options_;
    std::array<int64_t, 2> low_, high_;
    bool is_low_res_;
};

Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale, bool centred,
                     std::string_view border) {
    const Options options{{radius, eps, scale, centred}, border};
    check("guided_filter", guide, input, options);
    if (guide.is_meta() || guide.numel() == 0) {
        return at::empty_symint(guide.sym_sizes(), guide.options());
    }
    if (options.has_mirrors()) {
        return MirroredFilter("guided_filter", guide, input, options).forward(guide, input);
    }
    const auto [x, y] = axes(options, guide, input);
    return filter(guide, input, x, y, options);
}

Pair guided_filter_backward(const Tensor &d_output, const Tensor &guide, const Tensor &input, int64_t radius,
                            double eps, int64_t scale, bool centred, std::string_view border) {
    const Options options{{radius, eps, scale, centred}, border};
    check("guided_filter_backward", guide, input, options);
    check_sizes("guided_filter_backward", "d_output", check_map("guided_filter_backward", "d_output", d_output),
                guide.sym_sizes().vec());
    check_alike("guided_filter_backward", "d_output", d_output, "guide", guide);
    if (guide.is_meta() || guide.numel() == 0) {
        return {at::empty_symint(guide.sym_sizes(), guide.options()),
                at::empty_symint(input.sym_sizes(), input.options())};
    }
    if (options.has_mirrors()) {
        return MirroredFilter("guided_filter_backward", guide, input, options).backward(d_output, guide, input);
    }
    const auto [x, y] = axes(options, guide, input);
    return filter_backward(d_output, guide, input, x, y, options);
}

class GuidedFilter : public torch::autograd::Function<GuidedFilter> {
public:
    static constexpr bool is_traceable = true;

    static Tensor forward(AutogradContext *context, const Tensor &guide, const Tensor &input, int64_t radius,
                          double eps, int64_t scale, bool centred, std::string_view border) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({guide, input});
        context->saved_data["options"] = std::make_tuple(radius, eps, scale, centred, std::string(border));
        return ops::guided_filter(guide, input, radius, eps, scale, centred, border);
    }

    static variable_list backward(AutogradContext *context, const variable_list &gradients) {
        variable_list result(7);
        if (gradients[0].defined()) {
            const variable_list saved = context->get_saved_variables();
            const auto [radius, eps, scale, centred, border] =
                context->saved_data["options"].to<std::tuple<int64_t, double, int64_t, bool, std::string>>();
            std::tie(result[0], result[1]) =
                ops::guided_filter_backward(gradients[0], saved[0], saved[1], radius, eps, scale, centred, border);
        }
        return result;
    }
};

Tensor differentiable(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale, bool centred,
                      std::string_view border) {
    return GuidedFilter::apply(guide, input, radius, eps, scale, centred, border);
}

void implement(torch::Library &m) {
    m.impl("guided_filter", in_float<guided_filter>);
    m.impl("guided_filter_backward", in_float<guided_filter_backward>);
}

}  // namespace
}  // namespace upwell::bridge

namespace upwell::ops {

Tensor guided_filter(const Tensor &guide, const Tensor &input, int64_t radius, double eps, int64_t scale, bool centred,
                     std::string_view border) {
    static const auto op = bridge::find_torch_operator<decltype(guided_filter)>("upwell::guided_filter");
    return op.call(guide, input, radius, eps, scale, centred, border);
}

std::tuple<Tensor, Tensor> guided_filter_backward(const Tensor &d_output, const Tensor &guide, const Tensor &input,
                                                  int64_t radius, double eps, int64_t scale, bool centred,
                                                  std::string_view border) {
    static const auto op =
        bridge::find_torch_operator<decltype(guided_filter_backward)>("upwell::guided_filter_backward");
    return op.call(d_output, guide, input, radius, eps, scale, centred, border);
}

}  // namespace upwell::ops

namespace upwell::bridge {

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    m.def("guided_filter(Tensor guide, Tensor input, int radius, float eps=1e-3, int scale=1, bool centred=False, "
          "str border=\"inside\") -> Tensor");
    m.def("guided_filter_backward(Tensor d_output, Tensor guide, Tensor input, int radius, float eps, int scale, "
          "bool centred, str border=\"inside\") -> (Tensor, Tensor)");
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
    m.impl("guided_filter", differentiable);
    m.impl("guided_filter_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace upwell::bridge
