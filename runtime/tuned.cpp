#include "tuned.h"

#include "threads.h"

#include <atomic>
#include <cstdlib>

namespace upwell {
namespace {

bool on_from_environment() {
    const char *const variable = std::getenv("UPWELL_TUNED");
    return !variable || std::string(variable) != "off";
}

std::atomic<bool> &tuned() {
    static std::atomic<bool> on{on_from_environment()};
    return on;
}

}  // namespace

bool use_tuned(bool on) {
    return tuned().exchange(on);
}

bool uses_tuned() {
    return tuned();
}

Means means(Backend backend) {
    const bool tuned = uses_tuned();
    if (backend != Backend::Cpu) {
        return {InstructionSet::Baseline, tuned};
    }
    return {instruction_set(), tuned, thread_count()};
}

bool contains(const Bucket &bucket, const CallSize &size, int64_t threads) {
    return size.samples * bucket.threads >= bucket.least.samples * threads && bucket.least.channels <= size.channels &&
           size.channels <= bucket.most.channels && bucket.least.pixels <= size.pixels &&
           size.pixels <= bucket.most.pixels;
}

std::optional<CallSize> size_of(const std::vector<Argument> &arguments, size_t map) {
    const Tensor *const tensor = map < arguments.size() ? std::get_if<Tensor>(&arguments[map]) : nullptr;
    const size_t dimensions = tensor ? tensor->sizes.size() : 0;
    if (dimensions < 3) {
        return std::nullopt;
    }
    CallSize size{1, tensor->sizes[dimensions - 2] * tensor->sizes[dimensions - 1]};
    for (size_t d = dimensions == 4 ? 1 : 0; d < dimensions - 2; d++) {
        size.channels *= tensor->sizes[d];
    }
    if (dimensions == 4) {
        size.samples = tensor->sizes[0];
    }
    return size;
}

}  // namespace upwell
