// A large kernel plus a small one at its centre: large (KW, KH, C), small (kw, kh, C) -> merged (KW, KH, C). KW - kw
// and KH - kh are even and not negative.
#include "algebra/merge_kernels.h"

#include "algebra/dimensions.h"
#include "merge_kernels.h"

namespace upwell {
namespace {

class MergeKernels : public Halide::Generator<MergeKernels> {
    using Buffer = Halide::Buffer<void>;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};

    void configure() {
        large = add_input<Buffer>("large", type, 3);
        small = add_input<Buffer>("small", type, 3);
        merged = add_output<Buffer>("merged", type, 3);
    }

    void generate() {
        for (int d = 0; d < 3; d++) {
            const Halide::Expr extent = large->dim(d).extent();
            large->dim(d).set_bounds(0, extent);
            small->dim(d).set_bounds(0, d < 2 ? small->dim(d).extent() : extent);
            (*merged).dim(d).set_bounds(0, extent);
        }
        const auto margin = [&](int d) { return (large->dim(d).extent() - small->dim(d).extent()) / 2; };
        *merged = merge_kernels(*large, *small, small->dim(0).extent(), small->dim(1).extent(), margin(0), margin(1));
    }

    void schedule() {
        if (!default_schedule) {
            schedule_merge_kernels(*merged, get_target());
        }
    }

private:
    Halide::GeneratorInput<Buffer> *large = nullptr, *small = nullptr;
    Halide::GeneratorOutput<Buffer> *merged = nullptr;
};

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::MergeKernels, merge_kernels)
