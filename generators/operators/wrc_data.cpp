// The data term's weight of weighted reverse convolution, log1p(response^2), and the weighted sample, element by
// element. Arguments, each of n elements:
//     sample, response [, d_weight, d_weighted] -> weight, weighted; wrc_data_adjoint: d_sample, d_response
#include "algebra/wrc_data.h"

#include "wrc_data.h"

namespace {

using namespace upwell;

template<class Parts> class WrcDataGenerator : public Halide::Generator<WrcDataGenerator<Parts>> {
    using Base = Halide::Generator<WrcDataGenerator<Parts>>;
    using Buffer = Halide::Buffer<void>;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};

    void configure() {
        for (const std::string &name : Parts::input_names()) {
            inputs.push_back(Base::template add_input<Buffer>(name, type, 1));
        }
        output = Base::template add_output<Buffer>("both", std::vector<Halide::Type>{type, type}, 1);
    }

    void generate() {
        std::vector<Halide::Func> functions;
        for (const auto *input : inputs) {
            functions.push_back(*input);
        }
        parts = std::make_unique<Parts>(functions);
        *output = parts->output;
        const Halide::Expr size = inputs[0]->dim(0).extent();
        for (auto *input : inputs) {
            input->dim(0).set_bounds(0, size);
        }
        parts->output.output_buffers()[0].dim(0).set_bounds(0, size);
    }

    void schedule() {
        if (!default_schedule) {
            upwell::schedule_elements(parts->output, Base::get_target());
        }
    }

private:
    std::vector<Halide::GeneratorInput<Buffer> *> inputs;
    Halide::GeneratorOutput<Buffer> *output = nullptr;
    std::unique_ptr<Parts> parts;
};

using Forward = WrcDataGenerator<WrcData>;
using Adjoint = WrcDataGenerator<WrcDataAdjoint>;

}  // namespace

HALIDE_REGISTER_GENERATOR(Forward, wrc_data)
HALIDE_REGISTER_GENERATOR(Adjoint, wrc_data_adjoint)
