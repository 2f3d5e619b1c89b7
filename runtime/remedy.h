// What a refusal says to callers who need kernels that were not compiled.
#pragma once

namespace upwell {

inline constexpr char other_kernels[] =
    "upwell.build or upwell_add_operators compiles others for an operator of your own";

}  // namespace upwell
