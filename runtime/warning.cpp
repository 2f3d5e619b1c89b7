#include "warning.h"

#include <atomic>
#include <cstdio>

#include "upwell.h"

namespace upwell {
namespace {

std::atomic<WarningHandler> handler{nullptr};

}  // namespace

void set_warning_handler(WarningHandler new_handler) {
    handler = new_handler;
}

void warn(const std::string &message) {
    if (const WarningHandler take = handler.load()) {
        take(message);
    } else {
        std::fprintf(stderr, "upwell: %s\n", message.c_str());
    }
}

}  // namespace upwell
