// The runtime's warnings as Python's or torch's.
#include "torch_warnings.h"

#include <atomic>

#include <c10/util/Exception.h>

#include "upwell.h"

namespace upwell::bridge {
namespace {

std::atomic<int (*)(const char *)> python{nullptr};

void take(const std::string &message) {
    if (const auto warn_in_python = python.load()) {
        TORCH_CHECK(warn_in_python(message.c_str()) == 0, message);
    } else {
        TORCH_WARN(message);
    }
}

}  // namespace

void warn_through_torch() {
    static const bool once = [] {
        set_warning_handler(take);
        return true;
    }();
    (void)once;
}

}  // namespace upwell::bridge

// What Python warns with (warned.py); null: nothing from here on. It returns 0, or another number where its filters
// make errors of warnings.
extern "C" void upwell_warn_in_python(int (*warn)(const char *)) {
    upwell::bridge::python = warn;
}
