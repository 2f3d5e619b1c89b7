// The reciprocal standard deviation of variances: variance (i), of any stride -> output (i).
#include "kernel.h"
#include "schedules/contraction.h"

namespace upwell {
namespace {

class ReciprocalRootKernel : public Kernel<ReciprocalRootKernel> {
public:
    void configure() {
        variance = map("variance", "i");
        eps = real("eps");
        output = out("output", "i");
    }

    void generate() {
        variance->dim(0).set_stride(Halide::Expr());
        parts = {*variance, *eps};
        *output = parts.output;
        fix_sizes();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), parts);
        }
    }

private:
    Input variance = nullptr;
    Real eps = nullptr;
    Output output = nullptr;
    ReciprocalRoot parts;
};

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::ReciprocalRootKernel, reciprocal_root)
