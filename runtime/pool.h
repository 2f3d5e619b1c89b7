// Host memory that calls hand on to each other: a page that a process has not touched before costs more than what most
// calls do with it.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace upwell {

struct PoolBlock {
    std::unique_ptr<std::byte[]> memory;
    size_t size = 0;
};

class Pool {
public:
    // A block of at least so many bytes, not cleared.
    PoolBlock take(size_t size);
    void give_back(PoolBlock block);

    static Pool &shared();

private:
    // Bytes: four times what pcdc_scores keeps of one block at most, unless it is told otherwise.
    static constexpr size_t most_kept = size_t(1) << 28;

    std::mutex mutex_;
    std::vector<PoolBlock> free_;
    size_t kept_ = 0;
};

}  // namespace upwell
