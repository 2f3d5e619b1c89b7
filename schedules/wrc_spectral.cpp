// The plain schedule of the spectral solver.
#include "schedules/wrc_spectral.h"

namespace upwell {

namespace {

using Halide::Func;

void compute_whole(const std::vector<Func> &stages) {
    for (Func stage : stages) {
        stage.compute_root();
    }
}

void compute_whole(const Fold &fold) {
    compute_whole({fold.direct, fold.reflected});
}

void compute_whole(const WrcSpectralFit &fit) {
    compute_whole({fit.kernel_column_sum, fit.kernel_sum, fit.samples.wide, fit.right, fit.precision_sum, fit.low_model,
                   fit.model.wide});
    compute_whole(fit.folded);
}

}  // namespace

void schedule_plainly(WrcSpectral &parts) {
    compute_whole(parts.start);
}

void schedule_plainly(WrcSpectralBackward &parts) {
    compute_whole(parts.start);
    compute_whole(parts.d_folded);
    compute_whole(parts.d_sampled);
    compute_whole({parts.inverse, parts.d_low, parts.d_model.wide, parts.d_right, parts.d_kernel_rows,
                   parts.d_kernel_sum, parts.whole_precision.whole, parts.whole_data_weight.whole});
}

}  // namespace upwell
