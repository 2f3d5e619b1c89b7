// The spectrum that wrc_spectral keeps in the place of a map: its gradient is made of it, and derivatives of the
// gradient reach the map through it.
#pragma once

#include "operators/arguments.h"

namespace upwell::bridge {

// Of an operator's inputs the map whose half spectrum is its only kept output; -1: it keeps nothing of the kind.
int spectrum_source(const Operator &op);

// maps [N, C, H, W] -> [N, C, H, W / 2 + 1, 2], as wrc_spectral keeps it.
Tensor half_spectrum(const Tensor &maps);

// The transpose; maps of so many columns.
Tensor half_spectrum_transposed(const Tensor &d_spectrum, const c10::SymInt &columns);

}  // namespace upwell::bridge
