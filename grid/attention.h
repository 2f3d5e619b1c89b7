// How cross-scale attention divides its maps: what kernels and the host side agree on.
#pragma once

namespace upwell::cross_attention {

constexpr int tile = 32;   // pixels of a row side by side
constexpr int block = 4;   // cells of a row side by side
constexpr int lanes = 16;  // pixels that are summed side by side for a cell

}  // namespace upwell::cross_attention
