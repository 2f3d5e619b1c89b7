#include "pool.h"

namespace upwell {

PoolBlock Pool::take(size_t size) {
    // Without waiting: new memory is there too, and in a child of fork() nobody may be left to unlock.
    if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) {
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
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock && kept_ + block.size <= most_kept) {
        kept_ += block.size;
        free_.push_back(std::move(block));
    }
}

Pool &Pool::shared() {
    static Pool &pool = *new Pool;  // threads may outlive the end of main()
    return pool;
}

}  // namespace upwell
