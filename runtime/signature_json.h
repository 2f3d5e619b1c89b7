// What people and tools read of the operators with a host side of their own.
#pragma once

#include <string>

namespace upwell {

// A list, as JSON: of each its signature, member by member.
std::string signatures_as_json();

}  // namespace upwell
