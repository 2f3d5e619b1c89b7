// How sums that have two forms are written.
#pragma once

#include "algebra/form.h"
#include "schedules/place.h"

namespace upwell {

// A GPU has a thread for every place of every plane. Autoschedulers know sums better than scans.
inline Form form_of_sums(const Where &where) {
    const bool in_threads = where.on_gpu() && where.scheduled == Scheduled::ByHand;
    return in_threads || where.scheduled == Scheduled::Automatically ? Form::Gather : Form::Scan;
}

}  // namespace upwell
