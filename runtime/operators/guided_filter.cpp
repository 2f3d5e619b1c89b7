#include "operators/guided_filter.h"

#include <cmath>

#include "error.h"
#include "operators/host_operators.h"
#include "tensor.h"

namespace upwell {
namespace {

// What both kernels take besides maps.
void add_to(std::vector<NamedArgument> &arguments, Host &host, const GuidedFilterOptions &options,
            const GuidedFilterAxis &columns, const GuidedFilterAxis &rows) {
    for (const auto &[name, reads] : {std::pair{"key_column", &columns.key}, {"key_row", &rows.key},
                                      {"column", &columns.back}, {"row", &rows.back}}) {
        arguments.push_back({std::string(name) + "s", host.table(reads->lower)});
        arguments.push_back({std::string(name) + "_fraction", host.table(reads->fraction)});
    }
    arguments.push_back({"radius", options.box()});
    arguments.push_back({"scale", options.scale});
    arguments.push_back({"eps", options.eps});
}

}  // namespace

GuidedFilterAxis guided_filter_axis(const GuidedFilterOptions &options, int64_t low, int64_t high) {
    return {read_bilinear(low, high, options.samples(high), options.scale), options.back(high)};
}

void guided_filter(const GuidedFilterOptions &options, const GuidedFilterAxis &columns, const GuidedFilterAxis &rows,
                   const Tensor &guide, const Tensor &input, const Tensor &output, const Queue *queue) {
    const std::string op = "guided_filter";
    Host host(guide.dtype, queue);
    std::vector<NamedArgument> arguments{{"guide", planes(op, "guide", guide)},
                                         {"input", planes(op, "input", input)},
                                         {"output", planes(op, "output", output)}};
    add_to(arguments, host, options, columns, rows);
    host.run(op, arguments);
}

void guided_filter_adjoint(const GuidedFilterOptions &options, const GuidedFilterAxis &columns,
                           const GuidedFilterAxis &rows, const Tensor &guide, const Tensor &input,
                           const Tensor &d_output, const Tensor &d_guide, const Tensor &d_input, const Queue *queue) {
    const std::string op = "guided_filter_adjoint";
    Host host(guide.dtype, queue);
    std::vector<NamedArgument> arguments{{"guide", planes(op, "guide", guide)},
                                         {"input", planes(op, "input", input)},
                                         {"d_output", planes(op, "d_output", d_output)},
                                         {"d_guide", planes(op, "d_guide", d_guide)},
                                         {"d_input", planes(op, "d_input", d_input)}};
    add_to(arguments, host, options, columns, rows);
    host.run(op, arguments);
}

void run_guided_filter(Named &arguments, const Queue *queue) {
    const std::string &op = arguments.op();
    const Tensor &guide = arguments.tensor("guide"), &input = arguments.tensor("input"),
                 &output = arguments.tensor("output");
    const GuidedFilterOptions options{arguments.integer("radius"), arguments.real("eps", 1e-3),
                                      arguments.integer("scale", 1), arguments.integer("centred", 0) != 0};
    arguments.finish();
    for (const auto &[name, tensor] : {std::pair{"guide", &guide}, {"input", &input}, {"output", &output}}) {
        check_tensor(op, name, *tensor, guide.dtype);
    }
    const std::vector<int64_t> &high = guide.sizes, &low = input.sizes;
    check_sizes(op, "input", input, {high[0], high[1], low[2], low[3]});
    check_sizes(op, "output", output, high);
    const auto check_range = [&](const char *name, int64_t value, int64_t least) {
        if (value < least || value >= INT32_MAX / 4) {
            throw Error(op, name, "should be in " + std::to_string(least) + " .. " + std::to_string(INT32_MAX / 4 - 1) +
                                      " but is " + std::to_string(value));
        }
    };
    check_range("radius", options.radius, 0);
    check_range("scale", options.scale, 1);
    if (!std::isfinite(options.eps) || options.eps < 0) {
        throw Error(op, "eps", "should be at least 0 and finite but is " + std::to_string(options.eps));
    }
    if (overlap(guide, output) || overlap(input, output)) {
        throw Error(op, "output", "should not share memory with guide or input");
    }
    if (element_count(output) > 0) {
        guided_filter(options, guided_filter_axis(options, low[3], high[3]), guided_filter_axis(options, low[2], high[2]),
                      guide, input, output, queue);
    }
}

}  // namespace upwell
