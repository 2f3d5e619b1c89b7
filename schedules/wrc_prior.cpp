// How the prior's sums are written.
#include "schedules/wrc_prior.h"

namespace upwell {

Form wrc_prior_form(const Where &where) {
    return where.on_gpu() && where.scheduled == Scheduled::ByHand ? Form::Gather : Form::Scan;
}

}  // namespace upwell
