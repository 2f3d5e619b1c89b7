// What the operators that follow from descriptions take and make, as signatures say it.
#pragma once

#include "language/description.h"
#include "window_operators.h"
#include "signature.h"

namespace upwell {

// op stays where it is.
Signature signature_of(const WindowOperator &op, const std::string &doc);

// Of a description whose weights are products; both operators stay where they are.
Signature signature_of(const Description &description, const WindowOperator &scores, const WindowOperator &sum);

}  // namespace upwell
