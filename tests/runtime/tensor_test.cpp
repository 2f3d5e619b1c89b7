// Strides, empty tensors and memory.
#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using test::Map, test::run_in_order;

namespace {

const Parameters k3{3, 1, 0};

}  // namespace

TEST_CASE("an input with strides gives what its contiguous copy gives", "[tensor]") {
    const int64_t N = 2, C = 3, h = 5, w = 6, pad = 4;
    Map<float> wide({N, C + 1, h + 2, w + pad}, 1), dense({N, C, h, w}), logits({N, 9, 10, 12}, 2);
    Tensor strided = wide.tensor();
    strided.sizes = dense.sizes;
    strided.strides = {(C + 1) * (h + 2) * (w + pad), (h + 2) * (w + pad), w + pad, 1};
    for (int64_t i = 0; i < int64_t(dense.data.size()); i++) {
        const int64_t x = i % w, y = i / w % h, c = i / (w * h) % C, n = i / (w * h * C);
        dense.data[i] = wide.data[n * strided.strides[0] + c * strided.strides[1] + y * strided.strides[2] + x];
    }
    Map<float> expected({N, C, 10, 12}), actual({N, C, 10, 12}, 3);
    run_in_order("fns", k3, {dense.tensor(), logits.tensor()}, expected.tensor());
    run_in_order("fns", k3, {strided, logits.tensor()}, actual.tensor());
    CHECK(expected.data == actual.data);
}

TEST_CASE("a broadcast input has stride 0", "[tensor]") {
    Map<float> one({1, 1, 4, 5}, 1), all({2, 3, 4, 5}), expected({2, 3, 8, 10}), actual({2, 3, 8, 10}, 3);
    for (size_t i = 0; i < all.data.size(); i++) {
        all.data[i] = one.data[i % one.data.size()];
    }
    Tensor broadcast = one.tensor();
    broadcast.sizes = all.sizes;
    broadcast.strides = {0, 0, 5, 1};
    run_in_order("bilinear", {}, {all.tensor()}, expected.tensor());
    run_in_order("bilinear", {}, {broadcast}, actual.tensor());
    CHECK(expected.data == actual.data);
}

TEST_CASE("strides that kernels cannot follow are refused", "[tensor]") {
    Map<float> value({1, 2, 4, 4}, 1), output({1, 2, 8, 8});
    Tensor tensor = value.tensor();
    SECTION("the last one is not 1") {
        tensor.strides = {32, 1, 8, 2};
        CHECK_THROWS_WITH(run_in_order("nearest", {}, {tensor}, output.tensor()),
                          ContainsSubstring("nearest: value should have strides"));
    }
    SECTION("negative") {
        tensor.strides = {32, 16, -4, 1};
        CHECK_THROWS_WITH(run_in_order("nearest", {}, {tensor}, output.tensor()), ContainsSubstring("not negative"));
    }
    SECTION("too far apart") {
        tensor.strides = {32, int64_t(1) << 33, 4, 1};
        CHECK_THROWS_WITH(run_in_order("nearest", {}, {tensor}, output.tensor()), ContainsSubstring("should span at most"));
    }
    SECTION("an output that is not contiguous") {
        Tensor out = output.tensor();
        out.sizes = {1, 2, 8, 4};
        out.strides = {128, 64, 8, 1};
        CHECK_THROWS_WITH(run_in_order("nearest", {}, {tensor}, out), "nearest: output should be contiguous");
    }
}

TEST_CASE("memory that is not the caller's is refused", "[tensor]") {
    Map<float> value({1, 2, 4, 4}, 1), output({1, 2, 8, 8});
    Tensor tensor = value.tensor();
    SECTION("null") {
        tensor.data = nullptr;
        CHECK_THROWS_WITH(run_in_order("nearest", {}, {tensor}, output.tensor()), ContainsSubstring("null pointer"));
    }
    SECTION("misaligned") {
        tensor.data = reinterpret_cast<char *>(tensor.data) + 2;
        CHECK_THROWS_WITH(run_in_order("nearest", {}, {tensor}, output.tensor()), ContainsSubstring("aligned"));
    }
    SECTION("shared with the output") {
        Tensor out = output.tensor();
        tensor.data = out.data;
        CHECK_THROWS_WITH(run_in_order("nearest", {}, {tensor}, out), "nearest: output should not share memory with value");
    }
}

TEST_CASE("an empty batch runs nothing and needs no memory", "[tensor]") {
    const std::vector<int64_t> low{0, 3, 4, 4}, high{0, 3, 8, 8}, taps{0, 9, 8, 8};
    const auto none = [](const std::vector<int64_t> &sizes) { return Tensor{nullptr, Dtype::Float32, sizes, {}}; };
    CHECK_NOTHROW(run_in_order("fns", k3, {none(low), none(taps)}, none(high)));
    CHECK_NOTHROW(run_in_order("fns_d_value", k3, {none(high), none(taps)}, none(low)));
    CHECK_NOTHROW(run_in_order("fns_d_logits", k3, {none(high), none(low), none(taps)}, none(taps)));
}

TEST_CASE("without channels the gradient of the weights is zero", "[tensor]") {
    Map<float> logits({1, 9, 8, 8}, 1), d_logits({1, 9, 8, 8}, 2);
    const Tensor d_output{nullptr, Dtype::Float32, {1, 0, 8, 8}, {}}, value{nullptr, Dtype::Float32, {1, 0, 4, 4}, {}};
    run_in_order("fns_d_logits", k3, {d_output, value, logits.tensor()}, d_logits.tensor());
    CHECK(d_logits.data == std::vector<float>(9 * 64, 0.0f));
}

TEST_CASE("a group is a map of its own", "[tensor]") {
    const int64_t groups = 3, h = 4, w = 5, H = 8, W = 10;
    Map<float> value({2, 6, h, w}, 1), weight({2, groups * 9, H, W}, 2), together({2, 6, H, W}), apart({6, 2, H, W}, 3);
    run_in_order("carafe_reassembly", {3, groups}, {value.tensor(), weight.tensor()}, together.tensor());
    Tensor split_value = value.tensor(), split_weight = weight.tensor();
    split_value.sizes = {6, 2, h, w};
    split_weight.sizes = {6, 9, H, W};
    run_in_order("carafe_reassembly", {3, 1}, {split_value, split_weight}, apart.tensor());
    CHECK(together.data == apart.data);
}
