// Which schedule of the spectral solver serves a target; and the plain one.
#include "wrc_spectrum.h"

namespace upwell {

namespace {

using Halide::Func;

template<class Parts> void schedule_on(Parts &parts, const Halide::Target &target) {
    if (target.has_gpu_feature()) {
        schedule_on_gpu(parts);
    } else {
        schedule_on_cpu(parts, target);
    }
}

void compute_whole(const std::vector<Func> &stages) {
    for (Func stage : stages) {
        stage.compute_root();
    }
}

void compute_whole(const Fold &fold) {
    compute_whole({fold.direct, fold.reflected});
}

void compute_whole(const WrcSpectrumFit &fit) {
    compute_whole({fit.kernel_column_sum, fit.kernel_sum, fit.samples.wide, fit.right, fit.precision_sum, fit.low_model,
                   fit.model.wide});
    compute_whole(fit.folded);
}

}  // namespace

void schedule(WrcSpectrum &parts, const Halide::Target &target) {
    schedule_on(parts, target);
}

void schedule(WrcSpectrumAdjoint &parts, const Halide::Target &target) {
    schedule_on(parts, target);
}

void schedule_plainly(WrcSpectrum &parts) {
    compute_whole(parts.start);
}

void schedule_plainly(WrcSpectrumAdjoint &parts) {
    compute_whole(parts.start);
    compute_whole(parts.d_folded);
    compute_whole(parts.d_sampled);
    compute_whole({parts.inverse, parts.d_low, parts.d_model.wide, parts.d_right, parts.d_kernel_rows,
                   parts.d_kernel_sum, parts.whole_precision.whole, parts.whole_data_weight.whole});
}

}  // namespace upwell
