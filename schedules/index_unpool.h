// Cells times the index of their pixels, and the two gradients: one schedule for each kind of target, and the plainest
// one.
#pragma once

#include "Halide.h"
#include "algebra/index_unpool.h"
#include "schedules/place.h"

namespace upwell::index_unpool {

void schedule_on_cpu(Unpooled &parts, const Halide::Target &target);
void schedule_on_cpu(DValue &parts, const Halide::Target &target);
void schedule_on_cpu(DIndex &parts, const Halide::Target &target);

void schedule_on_gpu(Unpooled &parts);
void schedule_on_gpu(DValue &parts);
void schedule_on_gpu(DIndex &parts);

}  // namespace upwell::index_unpool
