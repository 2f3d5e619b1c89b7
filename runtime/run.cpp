// A call: check, choose a kernel, gather its arguments, run.
#include <algorithm>
#include <cstring>
#include <deque>

#include "axis_table.h"
#include "error.h"
#include "registry.h"
#include "tensor.h"
#include "threads.h"

namespace upwell {
namespace {

AxisRule rule_of(const Problem &problem) {
    const Family &family = *problem.op.family;
    const Validity validity = problem.parameters.border == Border::Mask ? Validity::LowRes
                              : family.has_mask_ratio                   ? Validity::HighRes
                                                                        : Validity::All;
    return {family.grid, validity, problem.parameters.kernel, problem.parameters.mask_ratio};
}

// The arguments of a kernel in its order, and what they point to.
class Arguments {
public:
    explicit Arguments(Call &call) : user_context(&call) { pointers.push_back(&user_context); }

    void add(const Tensor *tensor, int64_t groups) {
        if (tensor) {
            pointers.push_back(buffers.emplace_back(*tensor, groups).get());
        }
    }

    void add(std::vector<int32_t> &table, const std::vector<int64_t> &extents, int64_t min = 0) {
        pointers.push_back(buffers.emplace_back(table.data(), halide_type_t(halide_type_int, 32), extents, min).get());
    }

    void add_fraction(std::vector<double> &table, Dtype dtype) {
        void *data = table.data();
        if (dtype == Dtype::Float32) {
            data = narrowed.emplace_back(table.begin(), table.end()).data();
        }
        pointers.push_back(
            buffers.emplace_back(data, halide_type(dtype), std::vector<int64_t>{int64_t(table.size())}).get());
    }

    void add(int32_t &scalar) { pointers.push_back(&scalar); }

    void **get() { return pointers.data(); }

private:
    void *user_context;
    std::deque<Buffer> buffers;  // a deque keeps its elements where they are
    std::deque<std::vector<float>> narrowed;
    std::vector<void *> pointers;
};

void add_tables(Arguments &arguments, const Problem &problem, AxisTable &columns, AxisTable &rows) {
    arguments.add(columns.taps, {problem.W, 3});
    arguments.add(rows.taps, {problem.H, 3});
    arguments.add_fraction(columns.fraction, problem.dtype);
    arguments.add_fraction(rows.fraction, problem.dtype);
    if (problem.op.direction == Direction::DValue) {
        arguments.add(columns.begin, {int64_t(columns.begin.size())}, -columns.margin);
        arguments.add(rows.begin, {int64_t(rows.begin.size())}, -rows.margin);
        arguments.add(columns.cell);
        arguments.add(rows.cell);
    }
}

void run_kernel(const Row &row, const Problem &problem) {
    Call call(current_pool());
    Arguments arguments(call);
    const int64_t groups = problem.parameters.groups;
    arguments.add(problem.value, groups);
    arguments.add(problem.weights, groups);
    arguments.add(problem.d_output, groups);
    AxisTable columns, rows;
    if (row.ratio == 0) {
        columns = make_axis_table(rule_of(problem), problem.w, problem.W);
        rows = make_axis_table(rule_of(problem), problem.h, problem.H);
        add_tables(arguments, problem, columns, rows);
    }
    arguments.add(problem.output, groups);
    call.finish(problem.op.name, row.run(arguments.get()));
}

}  // namespace

void run(const std::string &name, const Parameters &parameters, const std::vector<Tensor> &inputs,
         const Tensor &output) {
    install_once();
    const Problem problem = check(find_operator(name), parameters, inputs, output);
    const int64_t elements = element_count(output);
    if (elements == 0) {
        return;
    }
    if (problem.C == 0) {  // a sum over no channels
        std::memset(output.data, 0, elements * (output.dtype == Dtype::Float32 ? sizeof(float) : sizeof(double)));
        return;
    }
    run_kernel(choose(problem), problem);
}

}  // namespace upwell
