// The public API: upsampling operators on raw buffers, without torch.
//
//     upwell::run("fns", {{"value", value}, {"logits", logits}, {"kernel", 3}, {"output", output}});
//
// Shapes, N,C,H,W; low-res h x w, high-res H x W, K the kernel, G the groups:
//
//   fns                 value [N, C, h, w], logits [N, K*K, H, W]           -> output [N, C, H, W]
//   carafe              value [N, C, h, w], logits [N, G*K*K, H, W]         -> output [N, C, H, W]
//   carafe_reassembly   value [N, C, h, w], weight [N, G*K*K, H, W]         -> output [N, C, H, W]
//   bilinear, bicubic, nearest
//                       value [N, C, h, w]                                  -> output [N, C, H, W]
//   <any>_d_value       d_output [N, C, H, W] and logits or weight, if any  -> d_value [N, C, h, w]
//   fns_d_logits, carafe_d_logits
//                       d_output [N, C, H, W], value and logits             -> d_logits [N, G*K*K, H, W]
//   carafe_reassembly_d_weight
//                       d_output [N, C, H, W], value                        -> d_weight [N, G*K*K, H, W]
//
//   group_stats, upsampled_group_stats
//                       x [N, C, h, w]                                      -> mean, rstd [N, groups]
//   fold_group_norm     weight [O, C], bias [O], norm_weight, norm_bias [C],
//                       mean, rstd [N, groups]                              -> folded_weight [N, O, C],
//                                                                              folded_bias [N, O]
//   guided_filter       guide [N, D, H, W], input [N, D, h, w]              -> output [N, D, H, W]
//   colour_guided_filter
//                       guide [N, 3, H, W], input [N, C, h, w]              -> output [N, C, H, W]
//   merge_kernels       large [A, B, KH, KW], small [A, B, kh, kw]          -> merged [A, B, KH, KW]
//   pcdc                key, query [N, D, H, W], weight [L, D/G, K, K] and,
//                       if there is one, bias [L]                           -> output [N, L, H, W]
//   pcdc_scores         key [N, D, H, W] or [N, D, h, w], query [N, D, H, W],
//                       norm_weight [D], weight [L, D/G, K, K], bias [L],
//                       compress_weight [M, L/G], compress_bias [M],
//                       hidden_weight, hidden_bias [M],
//                       score_weight [S, M], score_bias [S]                 -> output [N, S, H, W]
//   cross_attention     query [N, D, H, W], key [N, D, h, w],
//                       value [N, C, h, w]                                  -> output [N, C, H, W]
//   adaptive_conv       value [N, C, H, W], weight [N, K*K, H, W]            -> output [N, C, H, W]
//   range_weights       query, key [N, D, H, W], spatial [K*K]              -> weights [N, K*K, H, W]
//   local_attention     value [N, C, h, w], logits [N, T, H, W]             -> output [N, C, H, W]
//   index_unpool        value [N, C, h, w], index [N, G, H, W] or [N, G*s*s, h, w]
//                                                                           -> output [N, C, H, W]
//   sample_at_offsets   value [N, C, h, w], offsets [N, 2*G*s*s, h, w]      -> output [N, C, s*h, s*w]
//   transposed_conv     input [N, C, h, w], weight [C, D/G, KH, KW] and,
//                       if there is one, bias [D]                           -> output [N, D, H, W]
//   wrc_data            x, response [N, C, h, w]                            -> weight, weighted [N, C, h, w]
//   wrc_prior           x [N, C, h, w], mixed [N, 9*C, h, w], lam [C]       -> precision, weighted [N, C, s*h, s*w]
//   wrc_exact, wrc_spectral
//                       precision, weighted [N, C, s*h, s*w], data_weight, data [N, C, h, w],
//                       weight [C, KH, KW]                                  -> output [N, C, s*h, s*w]
//   <any>_backward, colour_guided_filter_d_input, _d_guide, index_unpool_d_value, _d_index,
//   transposed_conv_d_input, _d_weight, _d_bias
//                                                                           gradients of these
//
// and those of libraries that upwell_add_operators() made, once they are loaded. Options: kernel (taps per side,
// odd); groups (carafe, carafe_reassembly: channel groups with weights of their own; 1); mask_ratio (fns: high-res
// pixels between taps where the border mask is found; 0: the true ratio H/h); border (carafe: "zero": a neighbour
// outside the map weighs and is zero, as published; "mask": it leaves the softmax); scale_h, scale_w (bilinear,
// bicubic, nearest: high-res pixels per low-res pixel where positions are a pixel's over this number, computed as torch does
// for its scale_factor; 0: the true ratio H/h, W/w). Those of the second list, which takes contiguous tensors, are
// those of upwell.ops, and what `upwell inspect` prints of them: groups, eps (1e-5), blur (0) of group_stats, height
// and width of its upsampling; radius, eps (1e-3), scale (1), centred (0), border ("inside") of guided_filter and
// colour_guided_filter; groups (1), dilation_h, dilation_w (1) of pcdc; groups, norm_groups, relu (1), blur (0), keep_mib
// (-1) of pcdc_scores, and row_high, row_low, column_high, column_low, without which key is a low-res map; stride_h,
// stride_w (1), padding_h, padding_w, output_padding_h, output_padding_w (0), groups (1) of transposed_conv; scale, groups
// (1), of index_unpool too (scale 1: an index of pixels), high_res (0; 1: offsets are [N, 2*G, s*h, s*w]) of
// sample_at_offsets; heads (1), window ("shifted"), kernel_h, kernel_w (0), ratio (0), mean_heads (0) of cross_attention;
// kernel of adaptive_conv and range_weights; scale of wrc_..., tolerance (1e-4), max_iterations (100) of wrc_exact, centre
// ("image") of wrc_spectral, which also takes the transforms that it uses, fourier (see Fourier).
//
// All of one dtype, except that logits, weights and their gradients are float32 beside 16-bit maps. Inputs may have any
// strides whose last one is 1; the output is contiguous. Calls are thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace upwell {

// Float16, BFloat16: maps with a queue; arithmetic and weights are Float32 then. Int32: of tables only.
enum class Dtype { Float32, Float64, Float16, BFloat16, Int32 };

Dtype wide(Dtype dtype);  // what weights and sums of maps are: Float64, or Float32

struct Tensor {
    void *data = nullptr;
    Dtype dtype = Dtype::Float32;
    std::vector<int64_t> sizes;    // N, C, H, W
    std::vector<int64_t> strides;  // in elements; empty: contiguous
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

// A stream of a CUDA device. Kernels are put on it in order and may still be running when a call returns; nothing in a
// call but `download` waits for the device, and nothing but `allocate` and `upload` takes memory on it.
struct Queue {
    int device = 0;          // ordinal
    void *stream = nullptr;  // CUstream; null: the default stream
    // Memory on the device, aligned to 256 bytes, for the kernels of this call only; may throw.
    std::function<void *(size_t bytes)> allocate;
    // A copy on the device of some bytes of the host; kernels put on the stream from now on may read it.
    std::function<void *(const void *data, size_t bytes)> upload;
    // Copies some bytes of the device to the host, once all that was put on the stream is done; waits. wrc_exact alone
    // calls it, unless its tolerance is 0.
    std::function<void(void *to, const void *from, size_t bytes)> download;
};

// Fourier transforms of planes, which no kernel of the runtime does. maps [planes, H, W] are real; spectra
// [planes, H, W / 2 + 1, 2] are real and imaginary parts of the columns u that say all:
//     spectrum(v, u) = sum over y, x of map(y, x) exp(-2 pi i (v y / H + u x / W))
// and back the real part of the same sum over all v and u, of the opposite sign. mean: the sums are divided by H W. All
// are contiguous, of the dtype of the call, and lie where its tensors do; with a queue, transforms go on its stream.
struct Fourier {
    std::function<void(const Tensor &maps, const Tensor &spectra, bool mean)> forward;
    std::function<void(const Tensor &spectra, const Tensor &maps, bool mean)> back;
};

// A tensor or an option by its name.
using Value = std::variant<Tensor, int64_t, double, std::string, Fourier>;
struct NamedArgument {
    std::string name;
    Value value;
};

// Runs an operator. Throws Error. An output without elements needs no run. Without a queue, tensors lie in host memory
// and the output is complete on return; with one, all of them lie on its device.
void run(const std::string &name, const std::vector<NamedArgument> &arguments, const Queue *queue = nullptr);

// One argument of run_kernel: a tensor of up to 8 dimensions, outermost first, an integer, or a real number.
using Argument = std::variant<Tensor, int64_t, double>;

// Runs a kernel that is more than a reassembly (guided_filter, pcdc_scores, ...) by its generator's name, with the
// generator's arguments in their order (generators/operators/), its outputs last; dtype: of the maps. Strides are any
// whose last one is 1. Throws Error: no such kernel, or sizes that do not fit each other; outputs are unwritten then.
void run_kernel(const std::string &name, Dtype dtype, const std::vector<Argument> &arguments,
                const Queue *queue = nullptr);

// The same, its arguments by the names they have there.
void run_kernel(const std::string &name, Dtype dtype, const std::vector<NamedArgument> &arguments,
                const Queue *queue = nullptr);

// Called before every kernel, on the thread of the call, with the kernel's symbol and its arguments as compiled kernels
// take them (void *[], the first one a user context): for tools that record or count calls. Null: nobody looks on.
using Observer = void (*)(const char *symbol, void **arguments);
void set_observer(Observer observer);

// Takes what a call has to say besides its result, on the thread of the call; null: a line on stderr.
using WarningHandler = void (*)(const std::string &message);
void set_warning_handler(WarningHandler handler);

// What kernels are compiled for. OpenCl: those of the GPU, run by an OpenCL device on tensors in host memory, in a
// library that has no others: how GPU schedules are tested where there is no GPU.
enum class Backend { Cpu, Cuda, OpenCl };

// What a call runs on: with a queue Cuda, without one the processor, or OpenCl in the library made for it.
Backend backend(bool with_queue);

// What compiling kernels for devices has cost this process so far: each once for every device, at its first call.
struct CompileCost {
    int64_t modules = 0;
    double seconds = 0;
};
CompileCost compile_cost();

// The least that a processor must have to run a kernel, and what to run it with.
enum class InstructionSet { Baseline, Avx2, Avx512 };

// Sizes of a call: channels, pixels of one channel, and samples of its low-res map in the operators of run(), of the
// map that its kernel is about in run_kernel().
struct CallSize {
    int64_t channels, pixels, samples = 1;
};

// The calls that a kernel was tuned for: channels and pixels in a range, from least to most, both among them, and no
// fewer samples for each thread than least.samples for `threads`. With fewer, its tasks might leave threads idle.
struct Bucket {
    CallSize least, most;
    int64_t threads = 1;
};

// One compiled kernel.
struct Variant {
    std::string name;  // of its generator: fns, fns_d_value, fns_d_weight; carafe with border "mask": carafe_masked...
    int kernel;
    int ratio;  // 0: any size; -1: any size, maps of at most 8 channels a group
    Dtype dtype;
    Backend backend;
    InstructionSet needs;
    std::optional<Bucket> bucket;  // none: the schedule made by hand, for calls of every size
};

// What was compiled, and the kernels (taps per side) that an operator, e.g. "fns", was compiled for.
std::vector<Variant> variants();
std::vector<int64_t> kernels(const std::string &operator_name);

// Runs body(begin, end) over parts that cover [begin, end), and returns when all are done.
using Body = std::function<void(int64_t begin, int64_t end)>;
using ParallelFor = std::function<void(int64_t begin, int64_t end, const Body &body)>;

// Lets every parallel loop run on the caller's threads; an empty function goes back to a pool of the runtime's own.
// A child of fork() has no pool: there loops run serially until it sets one. count: how many threads a loop may take
// now.
void set_parallel_for(ParallelFor parallel_for, std::function<int64_t()> count);

// Uses nothing beyond `most`, whatever the processor has. The environment variable UPWELL_INSTRUCTION_SET
// (baseline, avx2, avx512) does the same.
void limit_instruction_set(InstructionSet most);

// What kernels run with: the limit above or what this processor has, whichever is less.
InstructionSet instruction_set();

// Whether calls take kernels that were tuned for their size, where there are any (schedules/tuned/); returns what held
// before. They do from the start, unless the environment variable UPWELL_TUNED is off; any other value of it is one for
// the build, and means nothing here.
bool use_tuned(bool on);
bool uses_tuned();

const char *name(Dtype dtype);
const char *name(InstructionSet set);
const char *name(Backend backend);

}  // namespace upwell
