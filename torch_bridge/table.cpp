#include "table.h"

#include <map>
#include <mutex>
#include <string>

#include <ATen/ops/from_blob.h>

namespace upwell::bridge {
namespace {

using at::Tensor;

// Never given back: a captured graph may read a table for as long as the process lives. Some kilobytes for each size
// of maps.
struct Cache {
    std::mutex mutex;
    std::map<std::pair<int, std::string>, Tensor> tables;  // by device and content
};

Cache &cache() {
    static Cache *const all = new Cache;  // outlives torch's allocators at exit
    return *all;
}

}  // namespace

Tensor device_bytes(const void *data, size_t bytes, at::Device device) {
    const std::pair<int, std::string> key{device.index(), std::string(static_cast<const char *>(data), bytes)};
    const std::lock_guard<std::mutex> lock(cache().mutex);
    Tensor &kept = cache().tables[key];
    if (!kept.defined()) {
        // Blocks until the copy is done: any stream may read the table from now on.
        kept = at::from_blob(const_cast<void *>(data), {static_cast<int64_t>(bytes)}, at::kByte).to(device);
    }
    return kept;
}

}  // namespace upwell::bridge
