// A call: check, choose a kernel, gather its arguments, run.
#include <algorithm>
#include <deque>
#include <optional>

#include "arguments.h"
#include "grid/axis_table.h"
#include "host.h"
#include "named.h"
#include "operator_call.h"
#include "registry.h"

namespace upwell {
namespace {

struct AxisTables {
    explicit AxisTables(const WindowCall &call)
        : columns(of(call, call.scale()[1], call.w, call.W)), rows(of(call, call.scale()[0], call.h, call.H)) {}

    std::shared_ptr<const AxisTable> columns, rows;

private:
    static std::shared_ptr<const AxisTable> of(const WindowCall &call, double scale, int64_t low, int64_t high) {
        const bool in_float64 = call.dtype == Dtype::Float64;
        return axis_table({call.taps(), call.parameters.mask_ratio, scale, in_float64}, low, high);
    }
};

void add(Arguments &arguments, const AxisTables &tables, const WindowCall &call) {
    const AxisTable &columns = *tables.columns, &rows = *tables.rows;
    arguments.add_table(columns.taps, {call.W, 3});
    arguments.add_table(rows.taps, {call.H, 3});
    arguments.add_table(columns.fraction, columns.fraction32);
    arguments.add_table(rows.fraction, rows.fraction32);
    if (call.op->direction == Direction::DValue) {
        arguments.add_table(columns.begin, {int64_t(columns.begin.size())}, -columns.margin);
        arguments.add_table(rows.begin, {int64_t(rows.begin.size())}, -rows.margin);
        arguments.add(int64_t(columns.cell));
        arguments.add(int64_t(rows.cell));
    }
}

// The kernel's arguments in its order.
void run_kernel(const Row &row, const WindowCall &call, const Queue *queue) {
    Arguments arguments(call.op->name, call.dtype, queue);
    for (const Tensor *input : {call.value, call.weights, call.d_output}) {
        if (input) {
            arguments.add_map(*input, call.parameters.groups);
        }
    }
    std::vector<double> zeros;  // these stay too
    std::vector<float> narrow_zeros;
    if (call.op->takes_bias) {
        const int64_t taps = call.op->tap_count(call.parameters.kernel), groups = call.parameters.groups;
        if (call.bias) {
            arguments.add(Tensor{call.bias->data, call.bias->dtype, {groups, taps}, {}});
        } else {
            zeros.resize(groups * taps);
            narrow_zeros.resize(groups * taps);
            arguments.add_table(zeros, narrow_zeros, {taps, groups});
        }
    }
    std::optional<AxisTables> tables;  // stays until the kernel has run
    if (row.ratio <= 0) {
        add(arguments, tables.emplace(call), call);
    }
    arguments.add_map(*call.output, call.parameters.groups);
    arguments.run(row.symbol, row.run);
}

// Samples begin .. begin + count of a tensor N,C,H,W.
Tensor samples_of(const Tensor &tensor, int64_t begin, int64_t count) {
    Tensor part = tensor;
    const int64_t sample = tensor.strides.empty() ? element_count(tensor) / tensor.sizes[0] : tensor.strides[0];
    part.data = static_cast<uint8_t *>(tensor.data) + begin * sample * element_size(tensor.dtype);
    part.sizes[0] = count;
    return part;
}

// On a GPU the gradient of the value keeps the window's weights of all pixels: of so many samples at a time that they
// take 1 GiB at most, or of one.
int64_t samples_at_once(const WindowCall &call, Backend backend) {
    if (backend == Backend::Cpu || call.op->direction != Direction::DValue) {
        return call.N;
    }
    const int64_t size = lower(call.taps()).size;
    const int64_t bytes = size * size * (call.H + size) * (call.W + size) * element_size(wide(call.dtype));
    return std::max<int64_t>(1, (int64_t(1) << 30) / bytes);
}

void run_kernel_in_parts(const Row &row, const WindowCall &call, const Queue *queue) {
    const int64_t most = samples_at_once(call, row.backend);
    if (most >= call.N) {
        run_kernel(row, call, queue);
        return;
    }
    for (int64_t begin = 0; begin < call.N; begin += most) {
        const int64_t count = std::min(most, call.N - begin);
        std::deque<Tensor> parts;
        const auto part_of = [&](const Tensor *tensor) {
            return tensor ? &parts.emplace_back(samples_of(*tensor, begin, count)) : nullptr;
        };
        WindowCall part = call;
        part.N = count;
        part.value = part_of(call.value);
        part.weights = part_of(call.weights);
        part.d_output = part_of(call.d_output);
        part.output = part_of(call.output);
        run_kernel(row, part, queue);
    }
}

}  // namespace

void run(const std::string &name, const std::vector<NamedArgument> &arguments, const Queue *queue) {
    if (queue && (!queue->allocate || !queue->upload)) {
        throw Error(name, "queue", "should have allocate and upload");
    }
    install_once();
    Named named(name, arguments);
    if (const Operator *op = find_operator(name)) {
        run_named(*op, named, queue);
        return;
    }
    refuse_operator(name);
}

void run(const WindowCall &call, const Queue *queue) {
    install_once();
    run_kernel_in_parts(choose(call, backend(queue != nullptr)), call, queue);
}

}  // namespace upwell
