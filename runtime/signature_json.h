// What people and tools read of operators.
#pragma once

#include <string>

namespace upwell {

// A list, as JSON: of each its signature, member by member.
std::string signatures_as_json();

}  // namespace upwell
