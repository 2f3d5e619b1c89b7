// The public API: upsampling operators on raw buffers, without torch.
//
//     upwell::run("fns", {3}, {value, logits}, output);
//
// Shapes, N,C,H,W; low-res h x w, high-res H x W, K the kernel, G the groups:
//
//   fns                 value [N, C, h, w], logits [N, K*K, H, W]           -> output [N, C, H, W]
//   carafe              value [N, C, h, w], logits [N, G*K*K, H, W]         -> output [N, C, H, W]
//   carafe_reassembly   value [N, C, h, w], weight [N, G*K*K, H, W]         -> output [N, C, H, W]
//   bilinear, nearest   value [N, C, h, w]                                  -> output [N, C, H, W]
//   <any>_d_value       d_output [N, C, H, W] and logits or weight, if any  -> d_value [N, C, h, w]
//   fns_d_logits, carafe_d_logits, carafe_reassembly_d_weight
//                       d_output [N, C, H, W], value, logits or weight      -> gradient of logits or weight
//
// Inputs may have any strides whose last one is 1; the output is contiguous. Calls are thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace upwell {

enum class Dtype { Float32, Float64, Int32 };  // Int32: of tables only

// What a neighbour outside the map does in carafe: it weighs and is zero (as published), or it leaves the softmax.
enum class Border { Zero, Mask };

struct Tensor {
    void *data = nullptr;
    Dtype dtype = Dtype::Float32;
    std::vector<int64_t> sizes;    // N, C, H, W
    std::vector<int64_t> strides;  // in elements; empty: contiguous
};

struct Parameters {
    int64_t kernel = 1;      // taps per side, odd; 1 for bilinear and nearest
    int64_t groups = 1;      // channel groups with weights of their own (carafe, carafe_reassembly)
    int64_t mask_ratio = 0;  // fns: high-res pixels between taps where the border mask is found; 0: the true ratio H/h
    Border border = Border::Zero;
};

// Bad input, or a call that failed. what() is `<operator>: <argument> <message>`.
class Error : public std::runtime_error {
public:
    Error(std::string operator_name, std::string argument, std::string message);
    const std::string &operator_name() const { return operator_name_; }
    const std::string &argument() const { return argument_; }
    const std::string &message() const { return message_; }

private:
    std::string operator_name_, argument_, message_;
};

// Runs an operator and returns when its output is complete. Throws Error. An output without elements needs no run.
void run(const std::string &name, const Parameters &parameters, const std::vector<Tensor> &inputs,
         const Tensor &output);

// One argument of run_kernel: a tensor of up to 8 dimensions, outermost first, an integer, or a real number.
using Argument = std::variant<Tensor, int64_t, double>;

// Runs a kernel that is more than a reassembly (guided_filter, pcdc_scores, ...) by its generator's name, with the
// generator's arguments in their order (generators/operators/), its outputs last; dtype: of the maps. Strides are any
// whose last one is 1. Throws Error: no such kernel, or sizes that do not fit each other; outputs are unwritten then.
void run_kernel(const std::string &name, Dtype dtype, const std::vector<Argument> &arguments);

// The least that a processor must have to run a kernel, and what to run it with.
enum class InstructionSet { Baseline, Avx2, Avx512 };

// One compiled kernel.
struct Variant {
    std::string operator_name;  // as run() takes it; carafe with border Mask: carafe_masked...
    int kernel;
    int ratio;  // 0: any size
    Dtype dtype;
    InstructionSet needs;
};

// What was compiled, and the kernels (taps per side) that an operator, e.g. "fns", was compiled for.
std::vector<Variant> variants();
std::vector<int64_t> kernels(const std::string &operator_name);

// Runs body(begin, end) over parts that cover [begin, end), and returns when all are done.
using Body = std::function<void(int64_t begin, int64_t end)>;
using ParallelFor = std::function<void(int64_t begin, int64_t end, const Body &body)>;

// Lets every parallel loop run on the caller's threads; an empty function goes back to a pool of the runtime's own.
// A child of fork() has no pool: there loops run serially until it sets one.
void set_parallel_for(ParallelFor parallel_for);

// Uses nothing beyond `most`, whatever the processor has. The environment variable UPWELL_INSTRUCTION_SET
// (baseline, avx2, avx512) does the same.
void limit_instruction_set(InstructionSet most);

// What kernels run with: the limit above or what this processor has, whichever is less.
InstructionSet instruction_set();

const char *name(Dtype dtype);
const char *name(InstructionSet set);

}  // namespace upwell
