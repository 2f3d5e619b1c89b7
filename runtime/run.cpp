// A call: check, choose a kernel, gather its arguments, run.
#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>

#include "arguments.h"
#include "grid/axis_table.h"
#include "registry.h"

namespace upwell {
namespace {

struct AxisTables {
    explicit AxisTables(const Problem &problem)
        : columns(of(problem, problem.scale()[1], problem.w, problem.W)),
          rows(of(problem, problem.scale()[0], problem.h, problem.H)) {}

    std::shared_ptr<const AxisTable> columns, rows;

private:
    static std::shared_ptr<const AxisTable> of(const Problem &problem, double scale, int64_t low, int64_t high) {
        const bool in_float64 = problem.dtype == Dtype::Float64;
        return axis_table({problem.taps(), problem.parameters.mask_ratio, scale, in_float64}, low, high);
    }
};

void add(Arguments &arguments, const AxisTables &tables, const Problem &problem) {
    const AxisTable &columns = *tables.columns, &rows = *tables.rows;
    arguments.add_table(columns.taps, {problem.W, 3});
    arguments.add_table(rows.taps, {problem.H, 3});
    arguments.add_table(columns.fraction, columns.fraction32);
    arguments.add_table(rows.fraction, rows.fraction32);
    if (problem.op.direction == Direction::DValue) {
        arguments.add_table(columns.begin, {int64_t(columns.begin.size())}, -columns.margin);
        arguments.add_table(rows.begin, {int64_t(rows.begin.size())}, -rows.margin);
        arguments.add(int64_t(columns.cell));
        arguments.add(int64_t(rows.cell));
    }
}

// The kernel's arguments in its order.
void run_kernel(const Row &row, const Problem &problem, const Queue *queue) {
    Arguments arguments(problem.op.name, problem.dtype, queue);
    for (const Tensor *input : {problem.value, problem.weights, problem.d_output}) {
        if (input) {
            arguments.add_map(*input, problem.parameters.groups);
        }
    }
    std::optional<AxisTables> tables;  // stays until the kernel has run
    if (row.ratio <= 0) {
        add(arguments, tables.emplace(problem), problem);
    }
    arguments.add_map(*problem.output, problem.parameters.groups);
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
int64_t samples_at_once(const Problem &problem, Backend backend) {
    if (backend == Backend::Cpu || problem.op.direction != Direction::DValue) {
        return problem.N;
    }
    const int64_t size = lower(problem.taps()).size;
    const int64_t bytes = size * size * (problem.H + size) * (problem.W + size) * element_size(wide(problem.dtype));
    return std::max<int64_t>(1, (int64_t(1) << 30) / bytes);
}

void run_kernel_in_parts(const Row &row, const Problem &problem, const Queue *queue) {
    const int64_t most = samples_at_once(problem, row.backend);
    if (most >= problem.N) {
        run_kernel(row, problem, queue);
        return;
    }
    for (int64_t begin = 0; begin < problem.N; begin += most) {
        const int64_t count = std::min(most, problem.N - begin);
        std::deque<Tensor> parts;
        const auto part_of = [&](const Tensor *tensor) {
            return tensor ? &parts.emplace_back(samples_of(*tensor, begin, count)) : nullptr;
        };
        Problem part = problem;
        part.N = count;
        part.value = part_of(problem.value);
        part.weights = part_of(problem.weights);
        part.d_output = part_of(problem.d_output);
        part.output = part_of(problem.output);
        run_kernel(row, part, queue);
    }
}

}  // namespace

void run(const std::string &name, const Parameters &parameters, const std::vector<Tensor> &inputs, const Tensor &output,
         const Queue *queue) {
    install_once();
    const Problem problem = check(find_operator(name), parameters, inputs, output);
    const int64_t elements = element_count(output);
    if (elements == 0) {
        return;
    }
    if (problem.C == 0) {  // a sum over no channels
        if (queue) {
            throw Error(name, "value", "should have channels");
        }
        std::memset(output.data, 0, elements * element_size(output.dtype));
        return;
    }
    run_kernel_in_parts(choose(problem, backend(queue != nullptr)), problem, queue);
}

}  // namespace upwell
