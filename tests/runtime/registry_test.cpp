// What was compiled, and which kernel a call takes.
#include <cstring>
#include <set>

#include "registry.h"
#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using namespace upwell::test;

namespace {

// Puts the limit back when a test is done.
struct Limit {
    explicit Limit(InstructionSet most) { limit_instruction_set(most); }
    ~Limit() { limit_instruction_set(InstructionSet::Avx512); }
};

int chosen_ratio(int64_t H, int64_t W, int64_t mask_ratio, int64_t channels = 16) {
    Map<float> value({1, channels, 4, 6}), logits({1, 9, H, W}), output({1, channels, H, W});
    const std::vector<Tensor> inputs{value.tensor(), logits.tensor()};
    const Tensor out = output.tensor();
    return choose(window_call(window_operator("fns"), {3, 1, mask_ratio}, inputs, out), Backend::Cpu).ratio;
}

// Several kernels of one name are tuned for different calls, each for one instruction set.
std::string name_of_bucket(const Variant &v) {
    if (!v.bucket) {
        return "";
    }
    std::string text = name(v.needs);
    for (const CallSize &size : {v.bucket->least, v.bucket->most}) {
        text += " " + std::to_string(size.channels) + " " + std::to_string(size.pixels);
    }
    return text;
}

}  // namespace

TEST_CASE("no kernel is listed twice", "[registry]") {
    std::set<std::string> seen;
    for (const Variant &v : variants()) {
        const std::string key = v.name + " " + std::to_string(v.kernel) + " " + std::to_string(v.ratio) +
                                name(v.dtype) + name(v.backend) + name_of_bucket(v);
        CHECK(seen.insert(key).second);
    }
    CHECK(seen.size() == registry().size());
}

TEST_CASE("whatever has a ratio of its own also has a general kernel that runs anywhere", "[registry]") {
    for (const Row &row : registry()) {
        CAPTURE(row.window, row.kernel, row.ratio);
        for (const Dtype dtype : {Dtype::Float32, Dtype::Float64}) {
            const Row *general = kernels_of(row.window).find(row.direction, row.kernel, 0, dtype, row.backend);
            REQUIRE(general);
            CHECK(general->needs == InstructionSet::Baseline);
        }
    }
}

TEST_CASE("only exact integer ratios take a kernel of their own", "[registry]") {
    const bool built = kernels_of("fns").find(Direction::Forward, 3, 4, Dtype::Float32, Backend::Cpu) &&
                       instruction_set() >= InstructionSet::Avx2;
    const int four = built ? 4 : 0;
    CHECK(chosen_ratio(16, 24, 0) == four);
    CHECK(chosen_ratio(16, 24, 4) == four);
    CHECK(chosen_ratio(16, 24, 2) == 0);
    CHECK(chosen_ratio(16, 12, 0) == 0);
    CHECK(chosen_ratio(17, 24, 0) == 0);
    CHECK(chosen_ratio(2, 3, 0) == 0);
}

TEST_CASE("maps of few channels take a kernel for them where cells differ, those of fewer everywhere", "[registry]") {
    CHECK(chosen_ratio(17, 24, 0, most_few_channels) == few_channels);
    CHECK(chosen_ratio(17, 24, 0, most_few_channels + 1) == 0);
    CHECK(chosen_ratio(16, 24, 0, most_weighted_channels) == few_channels);
    if (chosen_ratio(16, 24, 0) > 0) {
        CHECK(chosen_ratio(16, 24, 0, most_weighted_channels + 1) == chosen_ratio(16, 24, 0));
    }
}

TEST_CASE("without the instructions for it a ratio falls to the general kernel", "[registry]") {
    const Limit limit(InstructionSet::Baseline);
    CHECK(instruction_set() == InstructionSet::Baseline);
    CHECK(chosen_ratio(16, 24, 0) == 0);
}

TEST_CASE("every instruction set and every kernel for a problem gives the same answer", "[registry]") {
    const auto [H, W] = GENERATE(std::pair<int64_t, int64_t>{20, 28}, std::pair<int64_t, int64_t>{10, 14},
                                 std::pair<int64_t, int64_t>{13, 16}, std::pair<int64_t, int64_t>{3, 2});
    for (const Case &c : cases(H, W)) {
        CAPTURE(c.name, c.parameters.kernel, c.parameters.mask_ratio, H, W);
        std::vector<float> floats;
        std::vector<double> doubles;
        {
            const Limit limit(InstructionSet::Baseline);
            floats = run_case<float>(c);
            doubles = run_case<double>(c);
        }
        CHECK(worst_difference(std::vector<double>(floats.begin(), floats.end()), doubles) < 1e-4);
        for (const InstructionSet set : {InstructionSet::Avx2, InstructionSet::Avx512}) {
            const Limit limit(set);
            CAPTURE(name(instruction_set()));
            CHECK(worst_difference(run_case<float>(c), floats) < 2e-5);
            CHECK(worst_difference(run_case<double>(c), doubles) < 1e-12);
        }
    }
}

TEST_CASE("kernels of an operator are listed in order", "[registry]") {
    const std::vector<int64_t> built = kernels("fns");
    CHECK(std::is_sorted(built.begin(), built.end()));
    CHECK(std::find(built.begin(), built.end(), 3) != built.end());
    CHECK(kernels("bilinear") == std::vector<int64_t>{1});
    CHECK_THROWS_AS(kernels("trilinear"), Error);
}
