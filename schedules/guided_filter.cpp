// How the guided filter's sums are written.
#include "schedules/guided_filter.h"

namespace upwell {

Form guided_filter_form(const Where &where) {
    const bool in_threads = where.on_gpu() && where.scheduled == Scheduled::ByHand;
    return in_threads || where.scheduled == Scheduled::Automatically ? Form::Gather : Form::Scan;
}

}  // namespace upwell
