// What the operators that follow from descriptions take and make, as signatures say it.
#pragma once

#include "language/description.h"
#include "signature.h"
#include "window_operators.h"

namespace upwell {

// op stays where it is.
Signature signature_of(const WindowOperator &op, const std::string &doc);

// Of the sum over pixels that is the gradient of its bias.
Signature signature_of_bias_gradient(const WindowOperator &op);

// Of a description whose weights are products; both operators stay where they are.
Signature signature_of(const Description &description, const WindowOperator &scores, const WindowOperator &sum);

}  // namespace upwell
