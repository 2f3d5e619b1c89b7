// Maps whose pixels are sums of pixels of another one, against loops; the lists of mirrored borders.
#include "pixel_sums.h"

#include "mirror.h"
#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using test::Map, test::worst_difference;

namespace {

// Of a line of so many places.
std::vector<int> list_of(const Picks &picks, int64_t place) {
    const int64_t places = static_cast<int64_t>(picks.pixels.size()) / picks.count;
    std::vector<int> list;
    for (int64_t i = 0; i < picks.count; i++) {
        if (const int pixel = picks.pixels[i * places + place]; pixel >= 0) {
            list.push_back(pixel);
        }
    }
    return list;
}

template<class T> std::vector<T> expected_sums(const Map<T> &input, int64_t H, int64_t W, const Picks &rows,
                                               const Picks &columns) {
    const int64_t h = input.sizes[2], w = input.sizes[3];
    std::vector<T> sums;
    for (int64_t plane = 0; plane < input.sizes[0] * input.sizes[1]; plane++) {
        for (int64_t p = 0; p < H * W; p++) {
            double sum = 0;
            for (const int column : list_of(columns, p % W)) {
                for (const int row : list_of(rows, p / W)) {
                    sum += input.data[(plane * h + row) * w + column];
                }
            }
            sums.push_back(static_cast<T>(sum));
        }
    }
    return sums;
}

}  // namespace

TEST_CASE("pixels are the sums of those that they pick", "[pixel_sums]") {
    const Picks rows{3, {2, -1, 0, 1, /**/ 0, -1, -1, 1, /**/ -1, -1, -1, 2}};
    Picks columns{2, std::vector<int>(2 * 21, -1)};
    for (int i = 0; i < 21; i++) {
        columns.pixels[i] = i % 5 == 3 ? -1 : i * 7 % 10;
        columns.pixels[21 + i] = i % 5 != 3 && i % 2 ? i * 3 % 10 : -1;
    }
    Map<float> input({2, 3, 3, 10}, 1), output({2, 3, 4, 21}, 2);
    Host host(Dtype::Float32, nullptr);
    sum_pixels(host, input.tensor(), output.tensor(), rows, columns);
    CHECK(worst_difference(output.data, expected_sums(input, 4, 21, rows, columns)) < 1e-6);
}

TEST_CASE("a resized map is the old one from the top left, and zero beyond", "[pixel_sums]") {
    for (const auto &[H, W] : {std::pair<int64_t, int64_t>{20, 9}, {20, 23}, {50, 9}, {50, 23}, {33, 17}}) {
        CAPTURE(H, W);
        Map<double> input({2, 2, 33, 17}, 1), output({2, 2, H, W}, 2);
        Host host(Dtype::Float64, nullptr);
        resize(host, input.tensor(), output.tensor());
        CHECK(output.data == expected_sums(input, H, W, pick_same(33, H), pick_same(17, W)));
    }
}

TEST_CASE("a mirrored line shows its samples forwards and backwards in turn", "[pixel_sums]") {
    const auto shown = [](int64_t pixels, int64_t step, int64_t more, bool repeat_edge) {
        const Mirror line{pixels, std::max<int64_t>(pixels / step, 1), step, more, repeat_edge};
        return line.extended().pixels;
    };
    CHECK(shown(3, 1, 4, false) == std::vector{0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2});
    CHECK(shown(3, 1, 4, true) == std::vector{2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0});
    CHECK(shown(1, 1, 2, false) == std::vector{0, 0, 0, 0, 0});
    CHECK(shown(5, 2, 1, false) == std::vector{2, -1, 0, 1, 2, 3, 0, 4});
}

TEST_CASE("the transpose of a mirrored line brings every place back to its pixel", "[pixel_sums]") {
    for (const bool repeat_edge : {false, true}) {
        const Mirror line{7, 3, 2, 5, repeat_edge};
        const Picks extended = line.extended(), folded = transposed(extended, 7);
        int64_t picked = 0;
        for (int pixel = 0; pixel < 7; pixel++) {
            for (const int place : list_of(folded, pixel)) {
                CHECK(extended.pixels[place] == pixel);
                picked++;
            }
            CHECK(list_of(transposed(line.own(), 7), pixel) == std::vector{int(line.place(pixel))});
        }
        CHECK(picked == std::count_if(extended.pixels.begin(), extended.pixels.end(), [](int p) { return p >= 0; }));
    }
}
