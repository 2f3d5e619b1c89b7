// A large kernel plus a small one at its centre: large (KW, KH, C), small (kw, kh, C) -> merged (KW, KH, C). KW - kw
// and KH - kh are even and not negative.
#include "algebra/merge_kernels.h"

#include "kernel.h"
#include "schedules/merge_kernels.h"

namespace upwell {
namespace {

class MergeKernels : public Kernel<MergeKernels> {
public:
    void configure() {
        large = map("large", "KW,KH,C");
        small = map("small", "kw,kh,C");
        merged = out("merged", "KW,KH,C");
    }

    void generate() {
        const auto margin = [&](const char *outer, const char *inner) { return (size(outer) - size(inner)) / 2; };
        parts = {*large, *small, size("kw"), size("kh"), margin("KW", "kw"), margin("KH", "kh")};
        *merged = parts.merged;
        fix_sizes();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), parts);
        }
    }

private:
    Input large = nullptr, small = nullptr;
    Output merged = nullptr;
    MergedKernels parts;
};

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::MergeKernels, merge_kernels)
