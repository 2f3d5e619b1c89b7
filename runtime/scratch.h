// Memory of a device that a kernel keeps between its launches.
#pragma once

#include <cstddef>
#include <map>

namespace upwell {

struct Queue;

// What was given back is taken again before the caller is asked for more: launches run in order, so one that takes a
// block runs after those that used it before.
class Scratch {
public:
    void *take(const Queue &queue, size_t bytes);  // may throw
    void give_back(void *block, size_t bytes);

private:
    std::multimap<size_t, void *> free_blocks;  // by size
};

}  // namespace upwell
