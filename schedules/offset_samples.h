// Samples at offsets and their gradients: one schedule for each kind of target, and the plainest one that ends.
#pragma once

#include "Halide.h"
#include "algebra/offset_samples.h"
#include "schedules/form.h"
#include "schedules/place.h"

namespace upwell::offset_samples {

// Channels that are summed side by side.
int channel_lanes(Halide::Type type, const Where &where);

void schedule_on_cpu(Samples &s, const Halide::Target &target);
void schedule_on_cpu(DValue &d, const Halide::Target &target);
void schedule_on_cpu(DOffsets &d, const Halide::Target &target);

void schedule_on_gpu(Samples &s);
void schedule_on_gpu(DValue &d);
void schedule_on_gpu(DOffsets &d);

// Every sum whole and once, all else inlined.
void schedule_plainly(Samples &s);
void schedule_plainly(DValue &d);
void schedule_plainly(DOffsets &d);

}  // namespace upwell::offset_samples
