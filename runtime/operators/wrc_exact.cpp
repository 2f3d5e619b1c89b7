#include "operators/wrc_exact.h"

#include <cmath>

#include "error.h"
#include "operators/host_operators.h"
#include "tensor.h"

namespace upwell {

void wrc_exact(const WrcProblem &problem, const Tensor &weighted, const WrcTolerance &tolerance, const Tensor &output,
               const Queue *queue) {
    Host host(problem.precision.dtype, queue);
    const WrcWindowTables windows(host, problem);
    const WrcSolution solution = solve("wrc_exact", windows, problem, weighted, tolerance);
    windows.run_on_pixels("wrc_exact_finish", {{"precision", problem.precision},
                                               {"weighted", weighted},
                                               {"gain", solution.gain},
                                               {"solution", solution.values},
                                               {"X", output}});
}

// By the implicit function theorem: the same system with the gradient as its right side, and no data.
void wrc_exact_adjoint(const WrcProblem &problem, const WrcTolerance &tolerance, const Tensor &output,
                       const Tensor &d_output, const WrcGradients &gradients, const Queue *queue) {
    Host host(problem.precision.dtype, queue);
    const WrcWindowTables windows(host, problem);
    const std::vector<int64_t> &low = problem.data.sizes;
    WrcProblem without_data = problem;
    without_data.data = host.constant(0, low);
    const WrcSolution solution = solve("wrc_exact_backward", windows, without_data, d_output, tolerance);
    windows.run_on_pixels("wrc_exact_finish_adjoint", {{"precision", problem.precision},
                                                       {"d_output", d_output},
                                                       {"gain", solution.gain},
                                                       {"solution", solution.values},
                                                       {"X", output},
                                                       {"gradients.0", gradients.weighted},
                                                       {"gradients.1", gradients.precision}});
    const Tensor misfit = host.scratch(low),
                 d_packed =
                     host.scratch({low[0], low[1], windows.span_y, problem.scale, windows.span_x, problem.scale});
    windows.run("wrc_exact_low_gradients", {{"v", gradients.weighted},
                                            {"X", output},
                                            {"data_weight", problem.data_weight},
                                            {"data", problem.data},
                                            {"gradients.0", gradients.data_weight},
                                            {"gradients.1", gradients.data},
                                            {"gradients.2", misfit}});
    windows.run("wrc_exact_kernel_gradient", {{"v", gradients.weighted},
                                              {"X", output},
                                              {"misfit", misfit},
                                              {"d_data", gradients.data},
                                              {"d_kernel", d_packed}});
    windows.unpack(d_packed, gradients.kernel);
}

void run_wrc_exact(Named &arguments, const Queue *queue) {
    const std::string &op = arguments.op();
    const WrcCall call = take_wrc_call(arguments);
    const WrcTolerance tolerance{arguments.real("tolerance", 1e-4), arguments.integer("max_iterations", 100)};
    arguments.finish();
    if (!std::isfinite(tolerance.residual) || tolerance.residual < 0) {
        throw Error(op, "tolerance", "should be at least 0 and finite but is " + std::to_string(tolerance.residual));
    }
    if (tolerance.steps < 1) {
        throw Error(op, "max_iterations", "should be at least 1 but is " + std::to_string(tolerance.steps));
    }
    if (queue && tolerance.residual > 0 && !queue->download) {
        throw Error(op, "queue", "should have download, or the tolerance should be 0");
    }
    check_wrc_call(op, call, queue);
    if (element_count(call.output) > 0) {
        wrc_exact(call.problem, call.weighted, tolerance, call.output, queue);
    }
}

}  // namespace upwell
