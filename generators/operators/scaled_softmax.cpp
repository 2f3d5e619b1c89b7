// Softmax times factors, divided by its sum, and its gradients:
//     scores   (W, H, T, N)
//     factors  (T)
//     d_weights (W, H, T, N)    scaled_softmax_backward
//     -> weights (W, H, T, N), or of every pixel d_scores and what d_factors is the sum of (W, H, T, N)
#include "algebra/scaled_softmax.h"

#include "kernel.h"
#include "schedules/scaled_softmax.h"

namespace upwell::scaled_softmax {
namespace {

// Parts: Weights or Gradients.
template<class Parts> class ScaledSoftmax : public Kernel<ScaledSoftmax<Parts>> {
    using Base = Kernel<ScaledSoftmax<Parts>>;
    static constexpr bool is_backward = std::is_same_v<Parts, Gradients>;

public:
    void configure() {
        scores = this->map("scores", "W,H,T,N");
        factors = this->map("factors", "T");
        if (is_backward) {
            d_weights = this->map("d_weights", "W,H,T,N");
        }
        output = is_backward ? this->out("gradients", "W,H,T,N", 2) : this->out("weights", "W,H,T,N");
    }

    void generate() {
        const Problem problem{*scores, *factors, this->size("T")};
        if constexpr (is_backward) {
            parts = std::make_unique<Parts>(problem, *d_weights);
        } else {
            parts = std::make_unique<Parts>(problem);
        }
        *output = parts->output;
        this->fix_sizes();
    }

    void place() {
        if (!this->default_schedule) {
            upwell::place(this->where(), *parts);
        }
    }

private:
    typename Base::Input scores = nullptr, factors = nullptr, d_weights = nullptr;
    typename Base::Output output = nullptr;
    std::unique_ptr<Parts> parts;
};

using OfWeights = ScaledSoftmax<Weights>;
using OfGradients = ScaledSoftmax<Gradients>;

}  // namespace
}  // namespace upwell::scaled_softmax

HALIDE_REGISTER_GENERATOR(upwell::scaled_softmax::OfWeights, scaled_softmax)
HALIDE_REGISTER_GENERATOR(upwell::scaled_softmax::OfGradients, scaled_softmax_backward)
