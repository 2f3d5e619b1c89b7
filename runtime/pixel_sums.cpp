#include "pixel_sums.h"

namespace upwell {

void sum_pixels(Host &host, const Tensor &input, const Tensor &output, const Picks &rows, const Picks &columns) {
    const std::string op = "pixel_sums";
    host.run(op, {{"input", planes(op, "input", input)},
                  {"columns", host.table(columns.pixels, {columns.count, output.sizes[3]})},
                  {"rows", host.table(rows.pixels, {rows.count, output.sizes[2]})},
                  {"output", planes(op, "output", output)}});
}

void resize(Host &host, const Tensor &input, const Tensor &output) {
    sum_pixels(host, input, output, pick_same(input.sizes[2], output.sizes[2]),
               pick_same(input.sizes[3], output.sizes[3]));
}

}  // namespace upwell
