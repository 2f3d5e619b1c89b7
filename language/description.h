// What the descriptions of operators say, for everything that derives from them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "language/upwell/operator.h"
#include "language/window.h"

namespace upwell {

// The generator of one direction of a window.
std::string generator_name(const std::string &window, Direction direction);

struct MapArgument {
    enum class Kind { LowRes, HighRes, Weights, Bias };

    std::string name;
    std::string channels;  // Weights: taps of all groups; Bias: of one
    std::string doc;
    Kind kind;
};

// An operator for one number of taps per side and one border.
struct Description {
    std::string name, doc;
    std::vector<MapArgument> maps;      // the tensors it takes, in order
    std::optional<int> usual_kernel;    // of an operator that takes `kernel`
    std::vector<BorderChoice> borders;  // of one that takes `border`, else none
    bool has_groups = false;
    Window window;              // of the result
    std::optional<Window> dot;  // of weights that are products: kernels of its Direction::DWeight
    int value = -1, weights = -1, query = -1, key = -1, bias = -1;  // maps by their part in it

    // Where the border mask is found in high-res pixels, how far taps lie apart is an argument, `mask_ratio`.
    bool has_mask_ratio() const { return window.taps.grid == Grid::HighRes && window.taps.border == Border::Masked; }
};

// An operator as it was added.
class Author {
public:
    Author(std::string name, std::string doc, Upsampled (*body)())
        : name_(std::move(name)), doc_(std::move(doc)), body_(body) {}

    const std::string &name() const { return name_; }
    // Of taps per side (0: the usual number) and a border by its number among the choices. Throws
    // std::invalid_argument.
    Description describe(int kernel = 0, int border = 0) const;

private:
    std::string name_, doc_;
    Upsampled (*body_)();
};

// Calls it for every operator that was added; under a lock. watch: and for each that is from now on.
void for_each_author(const std::function<void(const Author &)> &visit);
void watch_authors(std::function<void(const Author &)> visit);

// What was wrong with operators that could not be added since the last call.
std::vector<std::string> take_refusals();

// The windows that an operator has kernels of, for every border: all of a description's.
std::vector<Window> windows(const Author &author, int kernel = 0);

// A text as JSON has it.
std::string quoted(const std::string &text);

// What people and tools read of operators.
std::string as_json(const std::vector<const Author *> &operators);

}  // namespace upwell
