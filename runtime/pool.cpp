#include "pool.h"

#include <algorithm>

namespace upwell {

PoolBlock Pool::take(size_t size) {
    {
        const std::lock_guard lock(mutex_);
        // The smallest that is large enough, but none that many others would fit in.
        auto best = free_.end();
        for (auto block = free_.begin(); block != free_.end(); ++block) {
            if (block->size >= size && block->size / 4 <= size && (best == free_.end() || block->size < best->size)) {
                best = block;
            }
        }
        if (best != free_.end()) {
            PoolBlock found = std::move(*best);
            free_.erase(best);
            kept_ -= found.size;
            return found;
        }
    }
    return {std::unique_ptr<std::byte[]>(new std::byte[size]), size};
}

void Pool::give_back(PoolBlock block) {
    const std::lock_guard lock(mutex_);
    if (kept_ + block.size <= most_kept) {
        kept_ += block.size;
        free_.push_back(std::move(block));
    }
}

Pool &Pool::shared() {
    static Pool &pool = *new Pool;  // threads may outlive the end of main()
    return pool;
}

}  // namespace upwell
