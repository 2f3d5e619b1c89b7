// Two ways to write down a sum that every place of an axis has.
#pragma once

namespace upwell {

enum class Form {
    Scan,   // place after place, each from the one before: fewest operations, on a machine of few lanes
    Gather  // each place from all that it needs, on its own: all places at once
};

}  // namespace upwell
