// The memory that kernels work in, which a thread keeps from one call to the next.
#include <thread>
#include <vector>

#include <malloc.h>

#include "support/catch.h"
#include "upwell.h"

using namespace upwell;

namespace {

// All of it on the calling thread.
struct OneThread {
    OneThread() {
        set_parallel_for([](int64_t begin, int64_t end, const auto &body) { body(begin, end); }, [] { return 1; });
    }
    ~OneThread() { set_parallel_for({}, {}); }
};

std::vector<float> filtered(int64_t size) {
    std::vector<float> guide(size * size), output(size * size);
    for (size_t i = 0; i < guide.size(); i++) {
        guide[i] = float(i * 7 % 31);
    }
    const std::vector<int64_t> sizes{1, 1, size, size};
    const Tensor map{guide.data(), Dtype::Float32, sizes, {}}, result{output.data(), Dtype::Float32, sizes, {}};
    run("guided_filter", {{"guide", map}, {"input", map}, {"radius", 3}, {"output", result}});
    return output;
}

size_t bytes_in_use() {
    const struct mallinfo2 now = mallinfo2();
    return now.uordblks + now.hblkhd;
}

}  // namespace

TEST_CASE("a thread that ends gives back what its kernels worked in", "[memory]") {
    const OneThread pool;
    const auto once = [] { std::thread([] { filtered(120); }).join(); };
    once();
    const size_t before = bytes_in_use();
    for (int i = 0; i < 30; i++) {
        once();
    }
    CHECK(bytes_in_use() < before + (size_t(1) << 18));
}

TEST_CASE("a kernel has the same answer in memory that others have used", "[memory]") {
    const OneThread pool;
    const std::vector<float> first = filtered(61);
    filtered(150);
    filtered(7);
    CHECK(filtered(61) == first);
}

TEST_CASE("a thread keeps little of what large maps took", "[memory]") {
    const OneThread pool;
    filtered(20);
    const size_t before = bytes_in_use();
    filtered(1500);
    CHECK(bytes_in_use() < before + (size_t(5) << 20));
}
