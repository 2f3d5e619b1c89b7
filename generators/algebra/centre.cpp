#include "algebra/centre.h"

#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_const, Internal::make_zero;

Func plane_centre(const std::string &name, Func samples, Expr columns, Expr rows) {
    constexpr int grid = 8;
    const Type type = samples.types()[0];
    const Arguments args = arguments(samples), plane(args.begin() + 2, args.end());
    const RDom r(0, grid, 0, grid, "grid");
    const Expr column = r.x * (columns - 1) / (grid - 1), row = r.y * (rows - 1) / (grid - 1);
    const Expr sample = samples(at(at(args, 0, column), 1, row));
    Func centre(name);
    centre(plane) = make_zero(type);
    centre(plane) += select(is_finite(sample), sample, make_zero(type)) * make_const(type, 1.0 / (grid * grid));
    return centre;
}

}  // namespace upwell
