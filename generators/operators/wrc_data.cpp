// The data term's weight of weighted reverse convolution, log1p(response^2), and the weighted sample, element by
// element. Arguments, each of n elements:
//     sample, response [, d_weight, d_weighted] -> weight, weighted; wrc_data_backward: d_sample, d_response
#include "algebra/wrc_data.h"

#include "kernel.h"
#include "schedules/wrc_data.h"

namespace upwell {
namespace {

template<class Parts> class WrcDataKernel : public Kernel<WrcDataKernel<Parts>> {
    using Base = Kernel<WrcDataKernel<Parts>>;
    using typename Base::Input, typename Base::Output;

public:
    void configure() {
        for (const std::string &name : Parts::input_names()) {
            inputs.push_back(this->map(name, "n"));
        }
        output = this->out("both", "n", 2);
    }

    void generate() {
        std::vector<Halide::Func> functions;
        for (const Input input : inputs) {
            functions.push_back(*input);
        }
        parts = std::make_unique<Parts>(functions);
        *output = parts->output;
        this->fix_sizes();
    }

    void place() {
        if (!this->default_schedule) {
            upwell::place(this->where(), *parts);
        }
    }

private:
    std::vector<Input> inputs;
    Output output = nullptr;
    std::unique_ptr<Parts> parts;
};

using WrcDataForwardGenerator = WrcDataKernel<WrcData>;
using WrcDataBackwardGenerator = WrcDataKernel<WrcDataBackward>;

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::WrcDataForwardGenerator, wrc_data)
HALIDE_REGISTER_GENERATOR(upwell::WrcDataBackwardGenerator, wrc_data_backward)
