// What a call has to say besides its result.
#pragma once

#include <string>

namespace upwell {

// Hands a message to set_warning_handler()'s, or to stderr.
void warn(const std::string &message);

}  // namespace upwell
