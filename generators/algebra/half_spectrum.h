// Half spectra: the columns 0 .. W / 2 of the spectrum of a real map, which say the rest, X(-u) = conj X(u). Of a map
// of scale h rows and scale w columns a row is given as a block of rows and a row in it, so that what is congruent
// modulo h and w is found without a division.
#pragma once

#include <string>
#include <vector>

#include "Halide.h"
#include "algebra/form.h"

namespace upwell {

// The dimensions of a half spectrum are part (real, imaginary), x, y, block (of rows), c (plane).
inline const Halide::Var part("part"), block("block");

struct SpectrumSize {
    Halide::Expr scale, w, h;
    Form form;
    Halide::Func columns;  // Gather: x, which: the low-res column or its reflection in 0 .. w / 2, and which of the two

    Halide::Expr W() const { return scale * w; }
    Halide::Expr half() const { return W() / 2 + 1; }
    Halide::Expr low_half() const { return w / 2 + 1; }

    // The row and the block of the negative frequency.
    Halide::Expr reflected_row(const Halide::Expr &y) const;
    Halide::Expr reflected_block(const Halide::Expr &y, const Halide::Expr &of_rows) const;
};

// The column of the negative frequency in a map of `width` columns.
Halide::Expr reflected_column(const Halide::Expr &x, const Halide::Expr &width);

// Values that negate with the frequency, as imaginary parts do, are odd, all others even.
using Odd = std::vector<bool>;

// The sum of a map's values over the frequencies congruent modulo h, w: (x, y, block, c) -> (x, y, c).
struct Fold {
    Halide::RDom direct_blocks, reflected_blocks;
    Halide::Func direct, reflected;  // those in columns 0 .. W / 2, and the negative ones of the rest
    Halide::Func sum;
};
Fold fold(const std::string &name, Halide::Func map, const Odd &odd, const SpectrumSize &size);

// The transpose: the first values of (x, y, c) repeated, at the columns 0 .. W / 2 and h rows.
struct Spread {
    Halide::RDom direct_blocks, reflected_blocks;  // of a scan: low-res column, block of columns
    Halide::Func wide;
};
Spread spread(const std::string &name, Halide::Func low, const Odd &odd, const SpectrumSize &size);

// A real map of all columns, (x, y, block, c) or (x, y, c), from halves: value `first` of them is that of the
// frequency, the next one that of its negative.
struct Join {
    Halide::RDom near, far;  // of a scan: columns that the halves have, and the rest
    Halide::Func whole;
};
Join join(const std::string &name, Halide::Func halves, int first, const Halide::Expr &width, const SpectrumSize &size);

}  // namespace upwell
