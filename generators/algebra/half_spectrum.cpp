#include "algebra/half_spectrum.h"

#include "algebra/dimensions.h"
#include "algebra/tuples.h"

namespace upwell {

using namespace Halide;
using Internal::make_zero;

namespace {

Expr with_sign(const Expr &value, bool odd) {
    return odd ? -value : value;
}

}  // namespace

// Clamped: bounds do not see that the row 0 stays where it is.
Expr SpectrumSize::reflected_row(const Expr &row) const {
    return clamp(select(row == 0, 0, h - row), 0, h - 1);
}

Expr SpectrumSize::reflected_block(const Expr &row, const Expr &of_rows) const {
    return clamp(select(row != 0, scale - 1 - of_rows, of_rows != 0, scale - of_rows, 0), 0, scale - 1);
}

Expr reflected_column(const Expr &column, const Expr &width) {
    return select(likely(column > 0), width - max(likely(column), 1), 0);
}

Fold fold(const std::string &name, Func map, const Odd &odd, const SpectrumSize &size) {
    Fold f{RDom(0, (size.scale + 1) / 2, 0, size.scale, name + "_direct_blocks"),
           RDom(0, size.scale / 2, 0, size.scale, name + "_reflected_blocks"), Func(name + "_direct"),
           Func(name + "_reflected"), Func(name)};
    const FuncRef here = map(f.direct_blocks.x * size.w + x, y, f.direct_blocks.y, c);
    const FuncRef there = map((f.reflected_blocks.x + 1) * size.w - x, size.reflected_row(y), f.reflected_blocks.y, c);
    std::vector<Expr> none, direct, reflected, sum;
    for (size_t k = 0; k < odd.size(); k++) {
        none.push_back(make_zero(map.types()[k]));
    }
    f.direct(x, y, c) = Tuple(none);
    f.reflected(x, y, c) = Tuple(none);
    for (size_t k = 0; k < odd.size(); k++) {
        const int i = static_cast<int>(k);
        direct.push_back(f.direct(x, y, c)[i] + here[i]);
        reflected.push_back(f.reflected(x, y, c)[i] + with_sign(there[i], odd[k]));
        sum.push_back(f.direct(x, y, c)[i] + f.reflected(x, y, c)[i]);
    }
    f.direct(x, y, c) = Tuple(direct);
    f.reflected(x, y, c) = Tuple(reflected);
    f.sum(x, y, c) = Tuple(sum);
    return f;
}

Spread spread(const std::string &name, Func low, const Odd &odd, const SpectrumSize &size) {
    Spread s{RDom(0, size.low_half(), 0, (size.scale + 1) / 2, name + "_direct_blocks"),
             RDom(0, size.low_half(), 0, size.scale / 2, name + "_reflected_blocks"), Func(name)};
    const auto each = [&](const auto &value) {
        std::vector<Expr> list;
        for (size_t k = 0; k < odd.size(); k++) {
            list.push_back(value(static_cast<int>(k), odd[k]));
        }
        return Tuple(list);
    };
    const Expr reflected = size.reflected_row(y);
    if (size.form == Form::Gather) {
        const Expr column = clamp(size.columns(x, 0), 0, size.w / 2), turned = size.columns(x, 1) != 0;
        const FuncRef value = low(column, select(turned, reflected, y), c);
        s.wide(x, y, c) =
            each([&](int i, bool is_odd) { return select(turned, with_sign(value[i], is_odd), value[i]); });
        return s;
    }
    const RDom &direct = s.direct_blocks, &turned = s.reflected_blocks;
    s.wide(x, y, c) = each([&](int i, bool) { return undef(low.types()[i]); });
    s.wide(direct.y * size.w + direct.x, y, c) = each([&](int i, bool) { return low(direct.x, y, c)[i]; });
    s.wide((turned.y + 1) * size.w - turned.x, y, c) =
        each([&](int i, bool is_odd) { return with_sign(low(turned.x, reflected, c)[i], is_odd); });
    return s;
}

Join join(const std::string &name, Func halves, int first, const Expr &width, const SpectrumSize &size) {
    Join j{RDom(0, width / 2 + 1, name + "_near"), RDom(width / 2 + 1, (width - 1) / 2, name + "_far"), Func(name)};
    const Arguments here = arguments(halves);
    Arguments negative = at(here, 1, size.reflected_row(y));
    if (here.size() == 4) {
        negative = at(negative, 2, size.reflected_block(y, block));
    }
    const auto value = [&](const Expr &column) { return halves(at(here, 0, column))[first]; };
    const auto of_negative = [&](const Expr &column) { return halves(at(negative, 0, width - column))[first + 1]; };
    if (size.form == Form::Gather) {
        j.whole(here) = select(x <= width / 2, value(min(x, width / 2)), of_negative(max(x, width - width / 2)));
        return j;
    }
    j.whole(here) = undef(halves.types()[first]);
    j.whole(at(here, 0, j.near)) = value(j.near);
    j.whole(at(here, 0, j.far)) = of_negative(j.far);
    return j;
}

}  // namespace upwell
