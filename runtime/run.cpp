// A call: check, choose a kernel, gather its arguments, run.
#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>

#include "arguments.h"
#include "grid/axis_table.h"
#include "host.h"
#include "named.h"
#include "operators/host_call.h"
#include "registry.h"

namespace upwell {
namespace {

struct AxisTables {
    explicit AxisTables(const WindowCall &call)
        : columns(of(call, call.scale()[1], call.w, call.W)),
          rows(of(call, call.scale()[0], call.h, call.H)) {}

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

Parameters parameters_of(const Operator &op, Named &named) {
    Parameters parameters;
    if (op.has_kernel) {
        parameters.kernel = named.integer("kernel");
    }
    if (op.has_groups) {
        parameters.groups = named.integer("groups", 1);
    }
    if (op.has_mask_ratio) {
        parameters.mask_ratio = named.integer("mask_ratio", 0);
    }
    if (op.has_border()) {
        parameters.border = border_of(op, named.text("border", op.choices.front().border));
    }
    if (!op.has_weights()) {
        parameters.scale = {named.real("scale_h", 0), named.real("scale_w", 0)};
    }
    return parameters;
}

void run_named(const Operator &op, Named &named, const Queue *queue) {
    std::vector<Tensor> inputs;
    for (const std::string &name : op.inputs) {
        inputs.push_back(named.tensor(name));
    }
    const Tensor &output = named.tensor(op.output);
    const Parameters parameters = parameters_of(op, named);
    named.finish();
    run(check(op, parameters, inputs, output), queue);
}

// The weights are made in memory of the queue, or of the host's own.
void run_named(const Chain &chain, Named &named, const Queue *queue) {
    std::vector<Tensor> inputs;
    for (const std::string &name : chain.inputs) {
        inputs.push_back(named.tensor(name));
    }
    const Tensor &output = named.tensor("output");
    const Parameters parameters = parameters_of(*chain.sum, named);
    named.finish();
    Parameters of_scores = parameters;
    of_scores.mask_ratio = 0;
    const auto &[value, query, key] = chain.parts;
    for (const int i : {value, query, key}) {
        check_tensor(chain.name, chain.inputs[i], inputs[i], inputs[i].dtype);
    }
    // In the names of this operator; what follows has some of its own.
    const std::vector<int64_t> low = inputs[value].sizes, high = inputs[query].sizes;
    check_sizes(chain.name, chain.inputs[query], inputs[query], {low[0], high[1], high[2], high[3]});
    check_sizes(chain.name, chain.inputs[key], inputs[key], {low[0], high[1], low[2], low[3]});
    check_tensor(chain.name, "output", output, inputs[value].dtype);
    check_sizes(chain.name, "output", output, {low[0], low[1], high[2], high[3]});
    Tensor scores{nullptr, wide(inputs[query].dtype), high, {}};
    scores.sizes[1] = parameters.groups * parameters.kernel * parameters.kernel;
    const size_t bytes = element_count(scores) * element_size(scores.dtype);
    std::vector<uint8_t> host(queue ? 0 : bytes);
    scores.data = queue ? queue->allocate(bytes) : host.data();
    // Both are checked before one runs, so that nothing is written where the other cannot be.
    const std::vector<Tensor> of_sum{inputs[value], scores}, pair{inputs[query], inputs[key]};
    const WindowCall sum = check(*chain.sum, parameters, of_sum, output);
    run(check(*chain.scores, of_scores, pair, scores), queue);
    run(sum, queue);
}

}  // namespace

int border_of(const Operator &op, const std::string &name) {
    std::string known;
    for (size_t i = 0; i < op.choices.size(); i++) {
        if (op.choices[i].border == name) {
            return static_cast<int>(i);
        }
        known += (known.empty() ? "'" : " or '") + op.choices[i].border + "'";
    }
    throw Error(op.name, "border", "should be " + known + " but is '" + name + "'");
}

void run(const std::string &name, const std::vector<NamedArgument> &arguments, const Queue *queue) {
    if (queue && (!queue->allocate || !queue->upload)) {
        throw Error(name, "queue", "should have allocate and upload");
    }
    install_once();
    Named named(name, arguments);
    if (const HostOperator *op = find_host_operator(name)) {
        run_named(*op, named, queue);
    } else if (const Chain *chain = find_chain(name)) {
        run_named(*chain, named, queue);
    } else {
        run_named(find_operator(name), named, queue);
    }
}

void run(const WindowCall &call, const Queue *queue) {
    install_once();
    const Tensor &output = *call.output;
    const int64_t elements = element_count(output);
    if (elements == 0) {
        return;
    }
    if (call.C == 0) {  // a sum over no channels
        if (queue) {
            throw Error(call.op->name, call.op->direction == Direction::DValue ? call.op->d_output : call.op->value,
                        "should have channels");
        }
        std::memset(output.data, 0, elements * element_size(output.dtype));
        return;
    }
    run_kernel_in_parts(choose(call, backend(queue != nullptr)), call, queue);
}

}  // namespace upwell
