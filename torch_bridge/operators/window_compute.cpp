#include "window_compute.h"

#include <algorithm>
#include <cmath>

#include <ATen/ops/empty.h>

#include "../in_float.h"

namespace upwell::bridge {

void check_kernel_and_groups(const std::string &name, const Operator &op, const WindowOptions &options,
                             const c10::SymInt &channels) {
    const std::vector<int64_t> &built = sides_of(op);
    const int64_t kernel = options.kernel, groups = options.groups;
    TORCH_CHECK(std::find(built.begin(), built.end(), kernel) != built.end(), name, ": kernel should be one of ",
                c10::IntArrayRef(built), " (those that were built) but is ", kernel);
    TORCH_CHECK(groups >= 1 && groups <= INT32_MAX, name, ": groups should be in 1 .. 2147483647 but is ", groups);
    TORCH_SYM_CHECK((channels % groups).sym_eq(0), name, ": groups should divide the ", channels, " channels but is ",
                    groups);
}

namespace {

void check_options(const Operator &op, const WindowOptions &options, const c10::SymInt &channels) {
    check_kernel_and_groups(op.name, op, options, channels);
    TORCH_CHECK(!options.mask_ratio || *options.mask_ratio >= 1, op.name, ": mask_ratio should be at least 1 but is ",
                *options.mask_ratio);
    for (const auto &[axis, scale] : {std::pair{"scale_h", options.scale_h}, {"scale_w", options.scale_w}}) {
        TORCH_CHECK(!scale || (*scale > 0 && std::isfinite(*scale)), op.name, ": ", axis,
                    " should be positive and finite but is ", *scale);
    }
    if (has_size(op)) {
        check_size(op.name, op.has_weights() ? "h, w" : "size", options.size);
    }
}

// The sizes of what is made, once all that is taken fits.
Sizes check_inputs(const Operator &op, const std::vector<Tensor> &inputs, const WindowOptions &options) {
    const WindowRoles roles(op);
    std::vector<Sizes> sizes;
    sizes.reserve(inputs.size());
    const std::vector<std::string> &names = op.inputs;
    for (size_t i = 0; i < inputs.size(); i++) {
        sizes.push_back(check_map(op.name, names[i], inputs[i]));
    }
    for (size_t i = 1; i < inputs.size(); i++) {
        // Weights may be float32 beside maps of 16 bits.
        if (static_cast<int>(i) == roles.weights && is_16_bit(inputs[0]) && inputs[i].scalar_type() == at::kFloat) {
            check_device(op.name, names[i], inputs[i], names[0], inputs[0]);
        } else {
            check_alike(op.name, names[i], inputs[i], names[0], inputs[0]);
        }
    }
    const Sizes &first = sizes[0];
    check_options(op, options, first[1]);
    if (roles.value > 0) {
        const Sizes &low = sizes[roles.value];
        check_sizes(op.name, op.value, low, {first[0], first[1], low[2], low[3]});
    }
    const Sizes &high = roles.d_output >= 0 ? sizes[roles.d_output]
                        : roles.weights >= 0 ? sizes[roles.weights]
                                             : options.size;
    const c10::SymInt &H = high[high.size() - 2], &W = high[high.size() - 1];
    const Sizes weights{first[0], options.groups * options.kernel * options.kernel, H, W};
    if (roles.weights >= 0) {
        check_sizes(op.name, op.weights, sizes[roles.weights], weights);
    }
    switch (op.direction) {
    case Direction::Forward:
        return {first[0], first[1], H, W};
    case Direction::DValue:
        return {first[0], first[1], options.size[0], options.size[1]};
    case Direction::DWeight:
        return weights;
    }
    return {};
}

}  // namespace

// Kernels for the CPU have float32 in place of 16 bits.
Tensor compute(const Operator &op, const std::vector<Tensor> &inputs, const WindowOptions &options) {
    const Sizes sizes = check_inputs(op, inputs, options);
    const Parameters parameters = parameters_of(op, options);
    check_elements(op.name, op.output, sizes);
    const WindowRoles roles(op);
    const Tensor &like = inputs[0];
    const at::ScalarType map = like.scalar_type(), wide = is_16_bit(like) ? at::kFloat : map,
                         stored = is_16_bit(like) && !runs_on_gpu(like) ? at::kFloat : map;
    const bool makes_weights = op.direction == Direction::DWeight;
    const at::ScalarType made = !makes_weights       ? map
                                : roles.weights >= 0 ? inputs[roles.weights].scalar_type()
                                                     : wide;
    if (like.is_meta()) {
        return at::empty_symint(sizes, like.options().dtype(made));
    }
    std::vector<Tensor> kept;  // until the kernel has run
    std::vector<upwell::Tensor> views;
    kept.reserve(inputs.size());
    views.reserve(inputs.size());
    for (size_t i = 0; i < inputs.size(); i++) {
        kept.push_back(converted(inputs[i], static_cast<int>(i) == roles.weights ? wide : stored).contiguous());
        views.push_back(view(kept.back()));
    }
    const Tensor output = at::empty_symint(sizes, like.options().dtype(makes_weights ? wide : stored));
    if (like.sym_size(1) == 0) {  // a sum over no channels
        return converted(output.zero_(), made);
    }
    const upwell::Tensor out = view(output);
    on_queue(like, [&](const Queue *queue) { run(window_call(op, parameters, views, out), queue); });
    return converted(output, made);
}

}  // namespace upwell::bridge
