// What this processor can run.
#pragma once

#include "upwell.h"

namespace upwell {

// Makes the kernels that were compiled for several instruction sets choose within the limit.
void install_instruction_set();

}  // namespace upwell
