#include "operators/wrc_exact.h"


#include "error.h"
#include "operator_call.h"

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
void wrc_exact_backward(const WrcProblem &problem, const WrcTolerance &tolerance, const Tensor &output,
                       const Tensor &d_output, const WrcGradients &gradients, const Queue *queue) {
    Host host(problem.precision.dtype, queue);
    const WrcWindowTables windows(host, problem);
    const std::vector<int64_t> &low = problem.data.sizes;
    WrcProblem without_data = problem;
    without_data.data = host.constant(0, low);
    const WrcSolution solution = solve("wrc_exact_backward", windows, without_data, d_output, tolerance);
    windows.run_on_pixels("wrc_exact_finish_backward", {{"precision", problem.precision},
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
    windows.unpack(d_packed, gradients.weight);
}

std::vector<Signature> describe_wrc_exact() {
    static const auto tolerance_of = [](const OperatorCall &c) {
        const WrcTolerance tolerance{c.real("tolerance"), c.integer("max_iterations")};
        if (c.queue && tolerance.residual > 0 && !c.queue->download) {
            throw Error(c.op.signature.name, "queue", "should have download, or the tolerance should be 0");
        }
        return tolerance;
    };
    Signature op = wrc_signature(
        "wrc_exact",
        "The exact solution of weighted reverse convolution (arXiv 2605.17472): X with (A' W A + P) X = A' W data + weighted, "
        "where A X is X convolved with weight (circular border, centred on element KH/2, KW/2), at every scale-th "
        "pixel. precision P > 0, data_weight W >= 0. Conjugate gradients on a system of h w unknowns a plane end where every "
        "plane's residual, relative to its right side, is at most tolerance, or, with a warning, after max_iterations. A "
        "tolerance of 0: exactly max_iterations. Weights of at most scale x scale elements need none.");
    op.options.insert(op.options.end(), {real("tolerance", 1e-4), integer("max_iterations", 1, INT64_MAX, 100)});
    op.run = [](Host &, const OperatorCall &c) {
        wrc_exact(wrc_problem(c), c.tensor("weighted"), tolerance_of(c), c.tensor("output"), c.queue);
    };
    Signature backward =
        add_backward(op, {"output", "precision", "data_weight", "data", "weight"}, [](Host &, const OperatorCall &c) {
            wrc_exact_backward(wrc_problem(c), tolerance_of(c), c.tensor("output"), c.tensor("d_output"), wrc_gradients(c),
                              c.queue);
        });
    return {op, backward};
}

}  // namespace upwell
