// A sum of products of two tensors, plus a third one: left (i0, ..., i4, r0, r1, r2), right the same, offset (i0,
// ..., i4) -> output (i0, ..., i4). Of any strides, 0 among them; both may be shorter than
// the output in their innermost dimension.
#include "algebra/contraction.h"

#include "kernel.h"
#include "schedules/contraction.h"

namespace upwell {
namespace {

class Contract : public Kernel<Contract> {
public:
    void configure() {
        left = map("left", "width,i1,i2,i3,i4,r0,r1,r2");
        right = map("right", "width,i1,i2,i3,i4,r0,r1,r2");
        offset = map("offset", "i0,i1,i2,i3,i4");
        factor = real("factor");
        output = out("output", "i0,i1,i2,i3,i4");
    }

    void generate() {
        for (Input input : {left, right, offset}) {
            input->dim(0).set_stride(Halide::Expr());
        }
        parts = std::make_unique<Contraction>(*left, size("width"), *right, *offset, *factor,
                                              std::vector<Halide::Expr>{size("r0"), size("r1"), size("r2")});
        *output = parts->output;
        fix_sizes();
    }

    void place() {
        if (!default_schedule) {
            upwell::place(where(), *parts, Strides{left->dim(0).stride(), right->dim(0).stride(), offset->dim(0).stride()});
        }
    }

private:
    Input left = nullptr, right = nullptr, offset = nullptr;
    Real factor = nullptr;
    Output output = nullptr;
    std::unique_ptr<Contraction> parts;
};

}  // namespace
}  // namespace upwell

HALIDE_REGISTER_GENERATOR(upwell::Contract, contract)
