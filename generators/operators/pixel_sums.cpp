// Sums of pixels of a map. The arguments in order, Halide's dimensions innermost first; P planes:
//     input    (w, h, P)
//     columns  (W, I) int32  the columns of the input that a column is the sum of, then -1
//     rows     (H, J) int32  the same along y
//     -> output (W, H, P)
#include "algebra/pixel_sums.h"

#include "kernel.h"
#include "schedules/pixel_sums.h"

namespace upwell {
namespace {

class PixelSumsKernel : public Kernel<PixelSumsKernel> {
public:
    void configure() {
        input = map("input", "w,h,P");
        columns = table("columns", "W,I");
        rows = table("rows", "H,J");
        output = out("output", "W,H,P");
    }

    void generate() {
        parts = std::make_unique<PixelSums>(*input, size("w"), size("h"), *columns, size("I"), *rows, size("J"));
        *output = parts->output;
        fix_sizes();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *parts);
        }
    }

private:
    Input input = nullptr, columns = nullptr, rows = nullptr;
    Output output = nullptr;
    std::unique_ptr<PixelSums> parts;
};

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::PixelSumsKernel, pixel_sums)
