// What the library knows of its operators.
#include <dlfcn.h>

#include <tuple>

#include <c10/util/accumulate.h>
#include <torch/library.h>

#include "language/description.h"
#include "runtime/signature_json.h"
#include "runtime/window_operators.h"

namespace upwell::bridge {
namespace {

// So many a side, where an operator takes them, with the first of its borders.
Taps taps_of(const WindowOperator &op, int64_t kernel) {
    Taps taps = op.choices.front().taps;
    if (op.has_kernel) {
        taps.kernel = static_cast<int>(kernel);
    }
    return taps;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(upwell, m) {
    // On an axis: low-res cells that one tap reads, and those of the window.
    m.def("window(str operator, int kernel) -> (int, int)", [](const std::string &name, int64_t kernel) {
        TORCH_CHECK(kernel >= 1 && kernel % 2 == 1 && kernel < INT32_MAX / 2,
                    "window: kernel should be odd and positive but is ", kernel);
        const Taps taps = taps_of(find_result(name), kernel);
        return std::make_tuple(int64_t(taps.sampling.cells), int64_t(lower(taps).size));
    });
    // On an axis: the first cell of the window, counted from the one at or before the pixel, and for each tap and cell
    // the coefficients, ascending, of its weight as a polynomial of how far the pixel lies past that cell.
    m.def("window_matrix(str operator, int kernel) -> (int, float[])", [](const std::string &name, int64_t kernel) {
        const AxisWindow window = lower(taps_of(find_result(name), kernel));
        std::vector<double> coefficients;
        for (const std::vector<Polynomial> &cells : window.tap_cells) {
            for (const Polynomial &weight : cells) {
                coefficients.insert(coefficients.end(), weight.begin(), weight.end());
            }
        }
        return std::make_tuple(int64_t(window.first), coefficients);
    });
    // Those with kernels of a window.
    m.def("window_operators() -> str[]", [] {
        std::vector<std::string> names;
        for (const WindowOperator *op : window_operators()) {
            names.push_back(op->name);
        }
        return names;
    });
    // Of a call: two for each cell of the window, pixel of the high-res map, and channel. first: sizes of the first
    // argument.
    m.def("window_flops(str operator, int[] first, int[] made, int kernel) -> int",
          [](const std::string &name, at::IntArrayRef first, at::IntArrayRef made, int64_t kernel) {
              const WindowOperator &op = window_operator(name);
              const int64_t side = lower(taps_of(op, kernel)).size;
              return 2 * side * side * c10::multiply_integers(op.direction == Direction::Forward ? made : first);
          });
    // Taps per side that an operator has kernels for.
    m.def("kernels(str operator) -> int[]", [](const std::string &name) { return sides_of(find_result(name)); });
    // Of every operator that was described, as JSON.
    m.def("described() -> str", [] {
        std::vector<const Author *> all;
        for_each_author([&](const Author &author) { all.push_back(&author); });
        return as_json(all);
    });
    // Of every operator, as JSON.
    m.def("signatures() -> str", [] { return signatures_as_json(); });
    // What kernels run on in this library where tensors lie in host memory, what they need of the processor, and where
    // the runtime lies.
    m.def("backend() -> str", [] { return std::string(name(backend(false))); });
    m.def("instruction_set() -> str", [] { return std::string(name(instruction_set())); });
    m.def("runtime_path() -> str", [] {
        Dl_info info{};
        TORCH_CHECK(dladdr(reinterpret_cast<void *>(&take_refusals), &info), "runtime_path: not found");
        return std::string(info.dli_fname);
    });
    // What was wrong with operators and kernels that could not be added since the last call.
    m.def("refusals() -> str[]", [] {
        std::vector<std::string> all = take_refusals();
        for (std::string &refusal : take_refused_rows()) {
            all.push_back(std::move(refusal));
        }
        return all;
    });
}

}  // namespace upwell::bridge
