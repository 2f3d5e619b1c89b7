#include "huge_pages.h"

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace upwell::bridge {

void prefer_huge_pages(void *data, std::size_t bytes) {
#ifdef __linux__
    // glibc maps blocks from here on afresh at every allocation; smaller ones it soon serves from memory it has.
    constexpr std::size_t always_fresh = 32 << 20;
    if (bytes < always_fresh) {
        return;
    }
    constexpr std::uintptr_t huge = 2 << 20;
    const auto begin = reinterpret_cast<std::uintptr_t>(data), end = begin + bytes;
    const std::uintptr_t first = (begin + huge - 1) / huge * huge, last = end / huge * huge;
    // Only advice: where it is refused, the memory is as good as before.
    madvise(reinterpret_cast<void *>(first), last - first, MADV_HUGEPAGE);
#else
    (void)data, (void)bytes;
#endif
}

}  // namespace upwell::bridge
