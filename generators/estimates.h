// The sizes that an autoscheduler plans for.
#pragma once

#include "Halide.h"

#include <string>

namespace upwell {

// Gives the arguments of a generator the sizes of one call: text is like "value:0,32;0,32;0,64;0,2 radius:8", the least
// index and the extent of each dimension of a buffer, or a number. Arguments that it does not name stay without.
// Throws std::invalid_argument for a name or a number of dimensions that the generator does not have.
void set_estimates(Halide::Internal::AbstractGenerator &generator, const std::string &text);

}  // namespace upwell
