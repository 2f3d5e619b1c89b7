#include "kernel_memory.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include <HalideRuntime.h>

namespace upwell {
namespace {

constexpr size_t alignment = 128;                 // bytes, two cache lines: processors fetch them in pairs
constexpr size_t most_kept = size_t(4) << 20;     // bytes of a thread
constexpr size_t largest_kept = size_t(1) << 18;  // bytes of a piece

// Before the memory that a kernel sees.
struct Piece {
    Piece *next;
    size_t bytes;  // a power of two where it may be kept
};
static_assert(sizeof(Piece) <= alignment);

bool may_be_kept(size_t bytes) {
    return bytes <= largest_kept;
}

// What a thread keeps, by the logarithm of its size.
class Kept {
public:
    ~Kept() {
        for (Piece *list : lists) {
            while (list) {
                std::free(std::exchange(list, list->next));
            }
        }
        ended = true;
    }

    Piece *take(size_t bytes) {
        Piece *&list = lists[std::bit_width(bytes)];
        Piece *const piece = list;
        if (piece) {
            list = piece->next;
            kept -= bytes;
        }
        return piece;
    }

    bool keep(Piece *piece) {
        if (kept + piece->bytes > most_kept) {
            return false;
        }
        kept += piece->bytes;
        Piece *&list = lists[std::bit_width(piece->bytes)];
        piece->next = list;
        list = piece;
        return true;
    }

    static thread_local bool ended;  // a kernel may still run on the thread

private:
    std::array<Piece *, std::bit_width(largest_kept) + 1> lists{};
    size_t kept = 0;
};

thread_local bool Kept::ended = false;
thread_local Kept mine;

void *take(void *, size_t bytes) {
    const size_t wanted = may_be_kept(bytes) ? std::bit_ceil(bytes) : (bytes + alignment - 1) / alignment * alignment;
    Piece *piece = may_be_kept(wanted) && !Kept::ended ? mine.take(wanted) : nullptr;
    if (!piece) {
        const size_t whole = (alignment + wanted + alignment - 1) / alignment * alignment;
        void *const memory = std::aligned_alloc(alignment, whole);
        if (!memory) {
            return nullptr;
        }
        piece = new (memory) Piece{nullptr, wanted};
    }
    return reinterpret_cast<std::byte *>(piece) + alignment;
}

void give_back(void *, void *memory) {
    if (!memory) {
        return;
    }
    Piece *const piece = reinterpret_cast<Piece *>(static_cast<std::byte *>(memory) - alignment);
    if (!may_be_kept(piece->bytes) || Kept::ended || !mine.keep(piece)) {
        std::free(piece);
    }
}

}  // namespace

void install_kernel_memory() {
    halide_set_custom_malloc(take);
    halide_set_custom_free(give_back);
}

}  // namespace upwell
