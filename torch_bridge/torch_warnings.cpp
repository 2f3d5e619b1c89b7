// The runtime's warnings as torch's.
#include "torch_warnings.h"

#include <c10/util/Exception.h>

#include "upwell.h"

namespace upwell::bridge {

void warn_through_torch() {
    static const bool once = [] {
        set_warning_handler([](const std::string &message) { TORCH_WARN(message); });
        return true;
    }();
    (void)once;
}

}  // namespace upwell::bridge
