// Maps whose pixels are sums of pixels of another one.
#pragma once

#include "host.h"
#include "picks.h"

namespace upwell {

// input N,C,h,w; output N,C,H,W; contiguous, with elements. rows, columns: those of input that each of output picks.
void sum_pixels(Host &host, const Tensor &input, const Tensor &output, const Picks &rows, const Picks &columns);

// The top left of input, with zeros beyond its end.
void resize(Host &host, const Tensor &input, const Tensor &output);

}  // namespace upwell
