// What an operator takes and makes. Its checks, its call by name and, in torch, its schema, sizes, gradients and autocast all
// follow from this.
#pragma once

#include <climits>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "upwell.h"

namespace upwell {

class Host;
class OperatorCall;

// sizes: "N,C,scale*h,scale*w", a formula for each dimension. A name alone is what the tensor has; the rest, and every
// further tensor with that name, has to equal it. Options are among the names.
struct TensorArgument {
    std::string name, sizes;
    bool is_optional = false;
    bool is_flattened = false;  // more dimensions are taken, as one with the last
    bool is_finite = false;     // an infinite or nan element is refused, unless it lies on a GPU
    bool is_wide = false;       // beside 16 bits it may be float32, in which it is read anyway
};

TensorArgument tensor(std::string name, std::string sizes);
TensorArgument optional_tensor(std::string name, std::string sizes);
TensorArgument flattened_tensor(std::string name, std::string sizes);
TensorArgument finite_tensor(std::string name, std::string sizes);
TensorArgument wide_tensor(std::string name, std::string sizes);

struct OptionArgument {
    // Integers, Sizes: so many as there are parts. Sizes may be symbolic in torch. Fourier: not an option in torch.
    enum class Kind { Integer, Size, Real, Flag, Text, Integers, Sizes, Fourier };

    std::string name;
    Kind kind;
    int64_t least = 1, most = INT_MAX;   // of integers
    std::vector<std::string> parts{};    // Integers, Sizes: each one's name in a formula and in a call by name
    std::vector<std::string> choices{};  // Text
    std::optional<Value> usual{};        // what holds if it is not given, for every part the same; Flag: 0 or 1
    // Integer, Real, Sizes: may be none, which is 0 in a formula and in a call by name. Of Sizes so is each part, and the
    // name of all is 1 if they are given. A Real that may be none is positive.
    bool is_optional = false;
    std::function<const std::vector<int64_t> &()> built{};  // Integer: those that something was compiled for; none: all
};

OptionArgument integer(std::string name, int64_t least = 1, int64_t most = INT_MAX, std::optional<int64_t> usual = {});
OptionArgument optional_integer(std::string name);
OptionArgument built_integer(std::string name, std::function<const std::vector<int64_t> &()> built);
OptionArgument size(std::string name);
OptionArgument optional_real(std::string name);
OptionArgument real(std::string name, double usual);  // finite, at least 0
OptionArgument flag(std::string name, bool usual);
OptionArgument text(std::string name, std::vector<std::string> choices);  // the first one if not given
OptionArgument integers(std::string name, std::vector<std::string> parts, int64_t least, int64_t most, int64_t usual);
OptionArgument sizes(std::string name, std::vector<std::string> parts);
OptionArgument optional_sizes(std::string name, std::vector<std::string> parts);
OptionArgument fourier();

// Refuses `<argument> <message>` unless a formula `a == b` or `a <= b` holds. In the message {} stand around formulas
// and around tensors' names, which become their sizes.
struct Condition {
    std::string formula, argument, message;
};

struct OutputTensor {
    std::string name, sizes;
    bool is_kept = false;                 // for gradients only: callers do not see it
    std::optional<double> when_empty = 0;  // its value where the first tensor has no elements; none: it is run
    bool is_wide = false;                  // of 16 bits only if an input that is wide has them; it is written in float32
};

// How an operator's gradients by some of its inputs are made.
struct Gradient {
    enum class Rule {
        Call,    // by an operator, whose outputs they are
        Same,    // the output's gradient itself
        Centre,  // its centre, of the input's last two sizes
        Spread,  // the same for every pixel and sample
    };
    Rule rule;
    std::vector<std::string> of;  // the inputs
    std::string op{};
    // What the operator calls the arguments that are not called alike here. d_<output> is an output's gradient.
    std::vector<std::pair<std::string, std::string>> given{};
};

// Two operators of windows, one after the other: scores(query, key), and sum(value, scores).
struct Chain {
    std::string scores, sum;
    std::string value, query, key;  // what the inputs are called here
    std::string bias{};             // of scores; empty: it has none
};

struct Signature {
    // What torch.autocast does to the tensors.
    enum class Autocast { None, ToFloat, ToNarrow };
    using Run = std::function<void(Host &host, const OperatorCall &call)>;

    std::string name;
    std::string doc;
    std::vector<TensorArgument> inputs;
    std::vector<OptionArgument> options;
    std::vector<OutputTensor> outputs;
    Run run;
    // The inputs whose sizes hold where others have different ones; dtype and device are those of the first of them. All
    // others follow in their order.
    std::vector<std::string> first{};
    std::vector<Condition> conditions{};
    std::vector<std::pair<std::string, std::string>> addressed{};  // names and sizes that kernels have to be able to index
    std::vector<Gradient> gradients{};
    Autocast autocast = Autocast::None;
    bool has_16_bits = false;      // kernels for GPUs take and make maps of 16 bits; else these are float32 meanwhile
    bool takes_strides = false;    // inputs, N,C,H,W, may have strides
    std::optional<Chain> chain{};  // its gradients are theirs
    bool has_tap_weights = false;  // torch may ask for them beside the output, which is a sum over taps
};

std::vector<std::string> input_names(const Signature &of);

// The operator <name>_backward: of d_<output> for each output that callers see, and of some of the inputs and outputs it
// makes d_<input> for each input. Becomes the signature's one gradient.
Signature add_backward(Signature &of, const std::vector<std::string> &saved, Signature::Run run);

}  // namespace upwell
