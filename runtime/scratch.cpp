#include "scratch.h"

#include "upwell.h"

namespace upwell {

void *Scratch::take(const Queue &queue, size_t bytes) {
    const auto found = free_blocks.find(bytes);
    if (found == free_blocks.end()) {
        return queue.allocate(bytes);
    }
    void *const block = found->second;
    free_blocks.erase(found);
    return block;
}

void Scratch::give_back(void *block, size_t bytes) {
    free_blocks.emplace(bytes, block);
}

}  // namespace upwell
