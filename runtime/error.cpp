// Halide's error callback -> upwell::Error.
#include "error.h"

#include <HalideRuntime.h>

namespace upwell {

Error::Error(std::string operator_name, std::string argument, std::string message)
    : std::runtime_error(operator_name + ": " + (argument.empty() ? "" : argument + " ") + message),
      operator_name_(std::move(operator_name)), argument_(std::move(argument)), message_(std::move(message)) {}

void Call::fail(const std::string &text) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (message.empty()) {
        message = text;
    }
}

void Call::fail(std::exception_ptr thrown) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!exception) {
        exception = thrown;
    }
}

void Call::finish(const std::string &name, int status) const {
    if (exception) {
        std::rethrow_exception(exception);
    }
    if (status != 0) {
        throw Error(name, "", message.empty() ? "failed with Halide error " + std::to_string(status) : message);
    }
}

void install_error_handler() {
    halide_set_error_handler([](void *user_context, const char *message) {
        if (user_context) {
            static_cast<Call *>(user_context)->fail(message);
        }
    });
}

std::string format(const std::vector<int64_t> &sizes) {
    std::string text = "[";
    for (size_t i = 0; i < sizes.size(); i++) {
        text += (i ? ", " : "") + std::to_string(sizes[i]);
    }
    return text + "]";
}

}  // namespace upwell
