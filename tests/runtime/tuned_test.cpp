// Which of several kernels of one name takes a call: one tuned for its size, or the one scheduled by hand.
#include "error.h"
#include "registry.h"
#include "support/catch.h"

using namespace upwell;

namespace {

constexpr Bucket SMALL{{16, 256}, {63, 1023}}, LARGE{{64, 256}, {255, 1023}};

Row row(const char *symbol, InstructionSet needs, std::optional<Bucket> bucket, Dtype dtype = Dtype::Float32) {
    return {"fns", Direction::Forward, 3, 4, dtype, Backend::Cpu, needs, bucket, symbol, nullptr};
}

// A tuned row may stand before the one scheduled by hand.
const std::vector<Row> ROWS{
    row("avx512_small", InstructionSet::Avx512, SMALL),
    row("hand", InstructionSet::Avx2, std::nullopt),
    row("avx2_small", InstructionSet::Avx2, SMALL),
    row("avx512_large", InstructionSet::Avx512, LARGE),
    row("hand_double", InstructionSet::Baseline, std::nullopt, Dtype::Float64),
};

std::string chosen(const CallSize &size, const Means &means, Dtype dtype = Dtype::Float32) {
    std::vector<Row> rows;
    std::copy_if(ROWS.begin(), ROWS.end(), std::back_inserter(rows), [&](const Row &row) { return row.dtype == dtype; });
    const Row *const found = choose_row(rows, [&](const Row &) { return size; }, means);
    return found ? found->symbol : "none";
}

constexpr Means AVX512{InstructionSet::Avx512, true}, AVX2{InstructionSet::Avx2, true};

// Puts it back when a test is done.
struct UseTuned {
    explicit UseTuned(bool on) : before(use_tuned(on)) {}
    ~UseTuned() { use_tuned(before); }
    const bool before;
};

Argument map(const std::vector<int64_t> &sizes) {
    return Tensor{nullptr, Dtype::Float32, sizes, {}};
}

std::string name_of_size(const std::vector<Argument> &arguments, size_t index) {
    const std::optional<CallSize> size = size_of(arguments, index);
    return size ? std::to_string(size->samples) + " x " + std::to_string(size->channels) + " x " +
                      std::to_string(size->pixels)
                : "none";
}

// A call that the row's kernel was compiled for: one row of pixels, without its tensors.
WindowCall call_of(const Row &row, const CallSize &size) {
    for (const WindowOperator *op : window_operators()) {
        for (int border = 0; border < static_cast<int>(op->choices.size()); border++) {
            if (op->direction == row.direction && op->choices[border].kernels == &kernels_of(row.window)) {
                const int64_t w = size.pixels, r = row.ratio, H = r > 0 ? r : 2, W = r > 0 ? r * w : 2 * w + 1;
                return {op, {row.kernel, 1, 0, border}, row.dtype, size.samples, size.channels, 1,      w,
                        H,  W,                          nullptr,   nullptr,      nullptr,       nullptr};
            }
        }
    }
    throw Error(row.window, "", "is no operator");
}

}  // namespace

TEST_CASE("a call in a bucket takes the kernel tuned for it", "[tuned]") {
    CHECK(chosen({32, 512}, AVX512) == "avx512_small");
    CHECK(chosen({128, 512}, AVX512) == "avx512_large");
}

TEST_CASE("both ends of a bucket are in it", "[tuned]") {
    for (const int64_t channels : {16, 63}) {
        for (const int64_t pixels : {256, 1023}) {
            CHECK(chosen({channels, pixels}, AVX512) == "avx512_small");
        }
    }
    CHECK(chosen({64, 256}, AVX512) == "avx512_large");
}

TEST_CASE("a call in no bucket takes the kernel scheduled by hand", "[tuned]") {
    for (const CallSize &size : {CallSize{15, 512}, {256, 512}, {32, 255}, {32, 1024}, {1, 1}, {1 << 20, 1 << 30}}) {
        CHECK(chosen(size, AVX512) == "hand");
    }
}

TEST_CASE("a call with too few samples for its threads takes the kernel scheduled by hand", "[tuned]") {
    const Bucket two_for_four{{16, 256, 2}, {63, 1023}, 4};
    CHECK(contains(two_for_four, {32, 512, 2}, 4));
    CHECK(contains(two_for_four, {32, 512, 1}, 2));
    CHECK(contains(two_for_four, {32, 512, 8}, 16));
    CHECK_FALSE(contains(two_for_four, {32, 512, 1}, 4));
    CHECK_FALSE(contains(two_for_four, {32, 512, 2}, 5));
    CHECK_FALSE(contains(two_for_four, {32, 512, 7}, 16));
    CHECK(chosen({32, 512, 3}, {InstructionSet::Avx512, true, 3}) == "avx512_small");
    CHECK(chosen({32, 512, 2}, {InstructionSet::Avx512, true, 3}) == "hand");
}

TEST_CASE("tuned kernels are passed over when they are off", "[tuned]") {
    CHECK(chosen({32, 512}, {InstructionSet::Avx512, false}) == "hand");
}

TEST_CASE("a kernel is tuned for one instruction set", "[tuned]") {
    CHECK(chosen({32, 512}, AVX2) == "avx2_small");
    CHECK(chosen({128, 512}, AVX2) == "hand");
    CHECK(chosen({32, 512}, {InstructionSet::Baseline, true}) == "none");
    // With more instructions than it was tuned for it may be slower than the kernel scheduled by hand.
    const std::vector<Row> few{row("hand", InstructionSet::Avx2, std::nullopt),
                               row("avx2_small", InstructionSet::Avx2, SMALL)};
    const auto inside = [](const Row &) { return CallSize{32, 512}; };
    CHECK(choose_row(few, inside, AVX512)->symbol == std::string("hand"));
    CHECK(choose_row(few, inside, AVX2)->symbol == std::string("avx2_small"));
}

TEST_CASE("a kernel tuned for one dtype leaves others alone", "[tuned]") {
    CHECK(chosen({32, 512}, AVX512, Dtype::Float64) == "hand_double");
    CHECK(chosen({32, 512}, AVX512, Dtype::Float16) == "none");
}

TEST_CASE("a call without a size takes no tuned kernel", "[tuned]") {
    const auto no_size = [](const Row &) { return std::optional<CallSize>(); };
    CHECK(choose_row(ROWS, no_size, AVX512)->symbol == std::string("hand"));
}

TEST_CASE("the size of a call is that of one of its maps", "[tuned]") {
    const std::vector<Argument> arguments{map({2, 24, 5, 7}), int64_t(3), map({12, 5, 7}), map({2, 3, 4, 5, 7}),
                                          map({5, 7}),        0.5,        map({})};
    CHECK(name_of_size(arguments, 0) == "2 x 24 x 35");
    CHECK(name_of_size(arguments, 1) == "none");
    CHECK(name_of_size(arguments, 2) == "1 x 12 x 35");
    CHECK(name_of_size(arguments, 3) == "1 x 24 x 35");
    CHECK(name_of_size(arguments, 4) == "none");
    CHECK(name_of_size(arguments, 5) == "none");
    CHECK(name_of_size(arguments, 6) == "none");
    CHECK(name_of_size(arguments, 7) == "none");
}

TEST_CASE("tuned kernels are switched off and on again", "[tuned]") {
    const bool at_first = uses_tuned();
    {
        const UseTuned off(false);
        CHECK_FALSE(uses_tuned());
        CHECK_FALSE(means(Backend::Cpu).tuned);
        const UseTuned on(true);
        CHECK_FALSE(on.before);
        CHECK(means(Backend::Cpu).tuned);
    }
    CHECK(uses_tuned() == at_first);
}

TEST_CASE("kernels of a GPU do not ask what the processor has", "[tuned]") {
    CHECK(means(Backend::Cuda).has == InstructionSet::Baseline);
    CHECK(means(Backend::Cpu).has == instruction_set());
}

TEST_CASE("calls take the tuned kernels of this build for their channels and their low-res pixels", "[tuned]") {
    const UseTuned on(true);
    for (const Row &row : registry()) {
        if (!row.bucket || (row.backend == Backend::Cpu && row.needs != instruction_set())) {
            continue;
        }
        const auto takes_it = [&](const CallSize &size) {
            return choose(call_of(row, size), row.backend).symbol == std::string(row.symbol);
        };
        CAPTURE(row.symbol);
        auto [least, most, threads] = *row.bucket;
        const int64_t here = means(row.backend).threads, samples = (least.samples * here + threads - 1) / threads;
        least.samples = most.samples = samples;
        CHECK(takes_it(least));
        CHECK(takes_it(most));
        CHECK_FALSE(takes_it({least.channels, most.pixels + 1, samples}));
        CHECK_FALSE(takes_it({most.channels + 1, least.pixels, samples}));
        CHECK_FALSE(takes_it({least.channels - 1, most.pixels, samples}));
        CHECK_FALSE(takes_it({most.channels, least.pixels - 1, samples}));
        CHECK_FALSE(takes_it({least.channels, least.pixels, samples - 1}));
        const UseTuned off(false);
        CHECK_FALSE(takes_it(least));
    }
}
